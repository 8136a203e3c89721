import Cryptography

/// An opaque token that is exchanged once for the next pair: a prefix by which leaked ones can be
/// searched for, and 256 random bits.
struct RefreshToken {
  private static let prefix = "spr_"
  private static let randomBytes = 32

  let text: String
  /// What the database knows of it.
  let hash: [UInt8]

  static func random() -> RefreshToken {
    RefreshToken(prefix + Base64.url.encode(SecureRandom.bytes(randomBytes)))
  }

  /// Nil for what cannot be one of ours.
  init?(received text: String) {
    let encodedLength = (Self.randomBytes * 4 + 2) / 3
    guard text.hasPrefix(Self.prefix), text.utf8.count == Self.prefix.utf8.count + encodedLength
    else { return nil }
    self.init(text)
  }

  private init(_ text: String) {
    self.text = text
    hash = SHA256.digest([UInt8](text.utf8))
  }
}
