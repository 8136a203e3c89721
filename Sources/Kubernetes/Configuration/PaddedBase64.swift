import Cryptography

/// Base64 as Kubernetes has it in its objects: the standard alphabet, padded.
package enum PaddedBase64 {
  package static func encode(_ bytes: [UInt8]) -> String {
    let text = Base64.standard.encode(bytes)
    return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
  }

  /// Nil for text that is not base64.
  package static func decode(_ text: String) -> [UInt8]? {
    try? Base64.standard.decode(String(text.prefix { $0 != "=" }))
  }
}
