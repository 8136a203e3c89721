import COpenSSL

/// The two primitives that the opening handshake takes from OpenSSL.
enum WebSocketDigest {
  private static let sha1Bytes = 20

  /// Base64 of the SHA-1 of `text`; nil where OpenSSL refuses SHA-1 (a FIPS-only provider).
  static func base64SHA1(_ text: String) -> String? {
    let input = Array(text.utf8)
    var digest = [UInt8](repeating: 0, count: sha1Bytes)
    guard EVP_Digest(input, input.count, &digest, nil, EVP_sha1(), nil) == 1 else { return nil }
    return base64(digest)
  }

  static func base64(_ bytes: [UInt8]) -> String {
    // EVP_EncodeBlock ends its output with a NUL.
    var encoded = [UInt8](repeating: 0, count: (bytes.count + 2) / 3 * 4 + 1)
    let length = EVP_EncodeBlock(&encoded, bytes, Int32(bytes.count))
    return String(decoding: encoded[..<Int(length)], as: UTF8.self)
  }
}
