import Testing

@testable import Cryptography

/// The bytes of hexadecimal text in a test.
func bytes(_ hexadecimal: String) throws -> [UInt8] {
  try Hexadecimal.decode(hexadecimal)
}

func secret(_ text: String) -> SecretBytes {
  SecretBytes(copying: text.utf8)
}

func platformKey(_ firstDigits: String = "01") throws -> PlatformEncryptionKey {
  let rest = String(repeating: "a5", count: 32 - firstDigits.utf8.count / 2)
  return try PlatformEncryptionKey(hexadecimal: firstDigits + rest)
}

/// What `body` throws, as text; nil if it throws nothing.
func complaint(_ body: () throws -> some Any) -> String? {
  do {
    _ = try body()
    return nil
  } catch {
    return "\(error)"
  }
}
