import Postgres
import ServiceRuntime

/// The size of a page: 50 unless asked otherwise, at most 500.
enum PageSize {
  static let standard = 50
  static let max = 500

  static func check(_ size: Int32) throws(InvalidField) -> Int {
    if size == 0 { return standard }
    guard (1...Int32(max)).contains(size) else {
      throw InvalidField("page_size", "is \(size); give 1 to \(max), or 0 for \(standard)")
    }
    return Int(size)
  }
}

extension PageToken {
  /// The year 9999.
  private static let microsecondsMax: Int64 = 253_402_300_799_000_000

  /// The empty text where there is no next page.
  func encode(_ position: ListPosition?) -> String {
    guard let position else { return "" }
    return encode(after: ["\(position.createdAt.microseconds)", position.id])
  }

  /// Nil for the first page.
  func position(_ text: String) throws(FieldViolation) -> ListPosition? {
    guard let key = try decode(text) else { return nil }
    guard key.count == 2, let microseconds = Int64(key[0]),
      (0...Self.microsecondsMax).contains(microseconds), !key[1].utf8.contains(0)
    else { throw Self.violation }
    return ListPosition(createdAt: PostgresTimestamp(microseconds: microseconds), id: key[1])
  }
}
