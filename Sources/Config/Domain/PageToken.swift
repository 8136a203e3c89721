/// Where a listing goes on: the last key of the page before, bound to what was listed.
///
/// It grants nothing. Whoever gives it is limited to the rows of its own scope, and one of another
/// listing is refused. The check value tells a token cut or mistyped; it is no signature.
struct PageToken {
  static let lengthMax = 512
  private static let version: UInt8 = 1
  private static let headerLength = 9

  /// What a token of another listing must not be used for, such as method, tenant and filter.
  private let listing: [String]

  init(listing: String...) { self.listing = listing }

  func encode(after key: String) -> String {
    var bytes = [Self.version]
    withUnsafeBytes(of: check(key).bigEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: key.utf8)
    return URLSafeText.encode(bytes)
  }

  /// The key to go on after: the empty text, which precedes every key, for an empty token.
  func decode(_ token: String) throws(ConfigError) -> String {
    if token.isEmpty { return "" }
    guard token.utf8.count <= Self.lengthMax, let bytes = URLSafeText.decode(token),
      bytes.count > Self.headerLength, bytes[0] == Self.version,
      let key = String(validating: bytes.dropFirst(Self.headerLength), as: UTF8.self),
      bytes[1..<Self.headerLength].reduce(0, { $0 << 8 | UInt64($1) }) == check(key)
    else {
      throw .invalid(
        field: "page_token",
        description: "it is not one that this listing gave; pass on the next_page_token of the "
          + "page before, or leave it out to begin")
    }
    return key
  }

  /// FNV-1a over the texts, each with its length before it.
  private func check(_ key: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    for text in listing + [key] {
      withUnsafeBytes(of: UInt32(text.utf8.count).bigEndian) { $0.forEach(add) }
      text.utf8.forEach(add)
    }
    return hash
  }
}

/// Base64 in the alphabet of URLs, without padding (RFC 4648, section 5).
private enum URLSafeText {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    var buffer: UInt32 = 0
    var bits = 0
    for byte in bytes {
      buffer = buffer << 8 | UInt32(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        text.append(alphabet[Int(buffer >> UInt32(bits) & 63)])
      }
    }
    if bits > 0 { text.append(alphabet[Int(buffer << UInt32(6 - bits) & 63)]) }
    return String(decoding: text, as: UTF8.self)
  }

  static func decode(_ text: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var buffer: UInt32 = 0
    var bits = 0
    for character in text.utf8 {
      guard let value = alphabet.firstIndex(of: character) else { return nil }
      buffer = buffer << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
      }
    }
    // One spelling only: what is left over is less than a character, and zero.
    guard bits < 6, buffer & (1 << UInt32(bits) - 1) == 0 else { return nil }
    return bytes
  }
}
