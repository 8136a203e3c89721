import Cryptography

/// Where a listing goes on, as callers pass it on: the key of the last row that they were given, bound
/// to what was listed.
///
/// It grants nothing: whatever it says, the rows that are read are those of the caller's own scope. A
/// digest tells one that was cut, altered or brought along from another listing; it has no secret, and
/// is no signature.
package struct PageToken {
  package static let lengthMax = 1_024
  private static let version: UInt8 = 1
  private static let digestLength = 16

  /// What a token that does not fit is refused with.
  package static let violation = FieldViolation(
    "page_token",
    "it is not one that this listing gave; pass on the next_page_token of the page before with the "
      + "same filters, or leave it out to begin")

  private let listing: [String]

  /// - Parameter listing: all that decides which rows there are and in which order: the method, the
  ///   tenant, the filters. The size of pages may change.
  package init(listing: [String]) { self.listing = listing }

  /// - Parameter key: what tells the last row of the page from all others, of any texts.
  package func encode(after key: [String]) -> String {
    let fields = Self.fields(key)
    return Base64.url.encode([Self.version] + digest(fields) + fields)
  }

  /// The key to go on after; nil for the empty text, which asks for the first page.
  ///
  /// - Throws: `violation`.
  package func decode(_ text: String) throws(FieldViolation) -> [String]? {
    if text.isEmpty { return nil }
    guard text.utf8.count <= Self.lengthMax, let bytes = try? Base64.url.decode(text),
      bytes.count > Self.digestLength, bytes[0] == Self.version
    else { throw Self.violation }
    let fields = bytes[(1 + Self.digestLength)...]
    guard bytes[1...Self.digestLength].elementsEqual(digest(Array(fields))),
      let key = Self.texts(fields)
    else { throw Self.violation }
    return key
  }

  private func digest(_ fields: [UInt8]) -> ArraySlice<UInt8> {
    SHA256.digest(Self.fields(listing) + fields).prefix(Self.digestLength)
  }

  /// Each text with its length before it.
  private static func fields(_ texts: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for text in texts {
      withUnsafeBytes(of: UInt32(text.utf8.count).bigEndian) { bytes.append(contentsOf: $0) }
      bytes.append(contentsOf: text.utf8)
    }
    return bytes
  }

  private static func texts(_ fields: ArraySlice<UInt8>) -> [String]? {
    var texts: [String] = []
    var rest = fields
    while !rest.isEmpty {
      let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
      rest = rest.dropFirst(4)
      guard rest.count >= length,
        let text = String(validating: rest.prefix(length), as: UTF8.self)
      else { return nil }
      texts.append(text)
      rest = rest.dropFirst(length)
    }
    return texts
  }
}
