/// The last defence against a secret in a log line: a value whose key has one of these names, or ends
/// in one (`db_password`, `clientSecret`), is replaced. The first defence is not to log it.
package enum SecretKeys {
  /// In lowercase and without separators, as keys are compared.
  package static let names = [
    "password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "apikey",
    "accesskey", "privatekey", "encryptionkey", "signingkey", "credential", "credentials", "jwt",
    "databaseurl", "dsn", "connectionstring", "kubeconfig",
  ]

  static let replacement: StaticString = "[redacted]"

  private static let patterns = names.map { Array($0.utf8.reversed()) }

  private static let lastLetters = Set(patterns.compactMap(\.first))

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  /// Whether `key` names a secret; letters of either case, `_`, `-`, `.` and spaces do not matter.
  package static func contains(_ key: String) -> Bool {
    // Most keys end in a letter that no name ends in.
    guard let last = key.utf8.last,
      last >= 0x80 || !isLetter(last) || lastLetters.contains(last | 0x20)
    else { return false }
    return patterns.contains { ends(key, inReversed: $0) }
  }

  private static func ends(_ key: String, inReversed pattern: [UInt8]) -> Bool {
    var index = 0
    for byte in key.utf8.reversed() {
      switch byte {
      case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: " "): continue
      default: break
      }
      let isCapital = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
      guard (isCapital ? byte | 0x20 : byte) == pattern[index] else { return false }
      index += 1
      if index == pattern.count { return true }
    }
    return false
  }
}
