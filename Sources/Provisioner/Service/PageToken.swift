import Cryptography
import Postgres

/// Where a listing goes on, as callers pass it on: bound to what was listed, granting nothing.
struct PageToken {
  static let lengthMax = 512
  private static let version = "1"
  private static let separator: Character = "|"

  /// What a token of another listing must not be used for: the method and its filters.
  private let listing: String

  init(listing: [String]) { self.listing = listing.joined(separator: ",") }

  func encode(_ position: ListPosition?) -> String {
    guard let position else { return "" }
    let text = [Self.version, listing, String(position.createdAt.microseconds), position.id]
      .joined(separator: String(Self.separator))
    return Base64.url.encode(Array(text.utf8))
  }

  /// Nil for the first page.
  func decode(_ token: String) throws(InvalidField) -> ListPosition? {
    if token.isEmpty { return nil }
    let invalid = InvalidField(
      "page_token",
      "is not one that this listing gave; pass on the next_page_token of the page before with the "
        + "same filters, or leave it out to begin")
    guard token.utf8.count <= Self.lengthMax, let bytes = try? Base64.url.decode(token),
      let text = String(validating: bytes, as: UTF8.self)
    else { throw invalid }
    let parts = text.split(separator: Self.separator, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == Self.version, parts[1] == listing,
      let microseconds = Int64(parts[2]), (0...Self.microsecondsMax).contains(microseconds)
    else { throw invalid }
    return ListPosition(
      createdAt: PostgresTimestamp(microseconds: microseconds), id: String(parts[3]))
  }

  /// The year 9999.
  private static let microsecondsMax: Int64 = 253_402_300_799_000_000
}
