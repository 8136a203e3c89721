extension JSONObject {
  /// The object after a merge patch (RFC 7396): its members replace those of the same name, objects
  /// member by member, and null removes one.
  package func merging(patch: JSONObject) -> JSONObject {
    var result = self
    for member in patch.members {
      switch member.value {
      case .null: result[member.key] = nil
      case .object(let inner):
        let under = result[member.key]?.object ?? JSONObject()
        result[member.key] = .object(under.merging(patch: inner))
      default: result[member.key] = member.value
      }
    }
    return result
  }
}
