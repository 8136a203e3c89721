import JSON

/// The small JSON objects of tokens and key sets, read within bounds of their own. A token needs a
/// depth of 2 and some 15 values.
enum BoundedJSON {
  static let depthMax = 8
  static let membersMax = 64
  static let valuesMax = 1024

  private static let limits = {
    var limits = JSONLimits()
    limits.bytesMax = max(TokenVerifier.tokenLengthMax, JSONWebKeySet.textLengthMax)
    limits.depthMax = depthMax
    limits.membersMax = membersMax
    limits.valuesMax = valuesMax
    return limits
  }()

  static func object(_ bytes: [UInt8]) throws(TokenError.Fault) -> JSONObject {
    let value: JSON
    do {
      value = try JSON(parsing: bytes, limits: limits)
    } catch {
      throw TokenError.Fault(error)
    }
    guard case .object(let object) = value else { throw .notAnObject }
    return object
  }
}

extension TokenError.Fault {
  /// Leaves out the error's path, which has keys of the token in it.
  fileprivate init(_ error: JSONParseError) {
    self =
      switch error.reason {
      case .duplicateKey: .duplicateMember
      case .tooDeep(let maximum): .tooDeep(maximum: maximum)
      case .tooManyMembers(let maximum): .tooManyMembers(maximum: maximum)
      case .tooManyValues(let maximum): .tooManyValues(maximum: maximum)
      default: .notJSON(offset: error.offset)
      }
  }
}
