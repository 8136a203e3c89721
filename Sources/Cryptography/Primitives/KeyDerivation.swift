/// Keys of 32 bytes for separate purposes from one uniformly random key of 32 bytes: the expand
/// step of HKDF-SHA256 (RFC 5869, section 2.3), whose first block is all that is needed.
enum KeyDerivation {
  static func derive(from key: SecretBytes, purpose: String) -> SecretBytes {
    derive(from: key, info: [UInt8](purpose.utf8))
  }

  static func derive(from key: SecretBytes, info: [UInt8]) -> SecretBytes {
    HMACSHA256Key(key).secretCode(for: info + [1])
  }
}
