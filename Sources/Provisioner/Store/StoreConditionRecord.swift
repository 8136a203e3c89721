import JSON
package import Postgres

/// A condition of a store, and since when.
package struct StoreConditionRecord: Equatable, Sendable {
  package let condition: StoreCondition
  /// Since when it is true, false or unknown.
  package let changedAt: PostgresTimestamp
}

extension [StoreConditionRecord] {
  /// As they are after `changes`, each of which replaces the one of its kind.
  func applying(_ changes: [StoreCondition], at time: PostgresTimestamp) -> Self {
    var result = self
    for change in changes {
      let index = result.firstIndex { $0.condition.kind == change.kind }
      let before = index.map { result[$0] }
      let isSame = before.map {
        $0.condition.isTrue == change.isTrue && $0.condition.isKnown == change.isKnown
      }
      let record = StoreConditionRecord(
        condition: change, changedAt: isSame == true ? before?.changedAt ?? time : time)
      if let index { result[index] = record } else { result.append(record) }
    }
    return result
  }

  /// As they are kept: a JSON array.
  var stored: String {
    let values = map { record in
      var object = JSONObject()
      object["type"] = .string(record.condition.kind.rawValue)
      // Versions that know of nothing unknown read this as false.
      object["is_true"] = record.condition.isKnown ? .bool(record.condition.isTrue) : .null
      object["reason"] = .string(record.condition.reason)
      object["message"] = .string(record.condition.message)
      object["changed_at"] = .number(JSONNumber(record.changedAt.microseconds))
      return JSON.object(object)
    }
    return JSON.array(values).serializedText()
  }
}

extension StoreConditionRecord {
  static func all(stored text: String) throws(PostgresError) -> [StoreConditionRecord] {
    guard let values = try? JSON(parsing: text).array else {
      throw PostgresError(.badValue, "the conditions of a store are no JSON array")
    }
    // A kind that is not known is a newer version's.
    return values.compactMap { value in
      guard let kind = value["type"]?.string.flatMap(StoreCondition.Kind.init(rawValue:)) else {
        return nil
      }
      let (reason, message) = (value["reason"]?.string ?? "", value["message"]?.string ?? "")
      return StoreConditionRecord(
        condition: value["is_true"]?.bool.map { StoreCondition(kind, $0, reason, message) }
          ?? .unknown(kind, reason, message),
        changedAt: PostgresTimestamp(microseconds: value["changed_at"]?.int64 ?? 0))
    }
  }
}
