/// The 256-bit key an operator gives as 64 hexadecimal digits (`PLATFORM_ENCRYPTION_KEY`).
///
/// It is never used on data as it is, but for the seed's format: other keys are derived from it.
package struct PlatformEncryptionKey: Sendable {
  package static let digitCount = 64

  let bytes: SecretBytes

  package init(hexadecimal text: String) throws(PlatformEncryptionKeyError) {
    guard !text.isEmpty else { throw .empty }
    guard text.utf8.count == Self.digitCount else { throw .wrongLength(text.utf8.count) }
    do {
      bytes = try Hexadecimal.decodeSecret(text)
    } catch {
      throw .notHexadecimal(error)
    }
    let isPlaceholder = bytes.withUnsafeBytes { bytes in bytes.allSatisfy { $0 == bytes[0] } }
    guard !isPlaceholder else { throw .placeholder }
  }

  private init(bytes: SecretBytes) {
    self.bytes = bytes
  }

  package static func generate() -> PlatformEncryptionKey {
    PlatformEncryptionKey(bytes: SecureRandom.secretBytes(AESGCM.keyLength))
  }

  /// The 64 digits, for the file that the install wizard writes and for nothing else.
  package func copyHexadecimal() -> String {
    bytes.withUnsafeBytes { Hexadecimal.encode($0) }
  }
}

extension PlatformEncryptionKey: CustomStringConvertible, CustomReflectable {
  package var description: String { "<platform encryption key>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a text is no platform encryption key. No part of the text is repeated.
package enum PlatformEncryptionKeyError: Error, Equatable, CustomStringConvertible {
  case empty
  case wrongLength(Int)
  case notHexadecimal(HexadecimalError)
  case placeholder

  package var description: String {
    let remedy = "make one with `openssl rand -hex 32`"
    return switch self {
    case .empty: "the encryption key is empty; \(remedy)"
    case .wrongLength(let length):
      "the encryption key has \(length) characters; it takes 64 hexadecimal digits (\(remedy))"
    case .notHexadecimal(let error):
      "the encryption key is not hexadecimal: \(error); \(remedy)"
    case .placeholder:
      "the encryption key repeats a single byte and protects nothing; \(remedy)"
    }
  }
}
