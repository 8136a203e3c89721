import COpenSSL

/// A key for HMAC-SHA256 (RFC 2104), with its inner and outer blocks already hashed.
///
/// `@unchecked Sendable` holds because the keyed context is only ever duplicated.
package final class HMACSHA256Key: @unchecked Sendable {
  package static let codeLength = 32

  private let keyed: OpaquePointer

  package init(_ key: SecretBytes) {
    keyed = OpenSSL.require(EVP_MAC_CTX_new(OpenSSL.hmac), "EVP_MAC_CTX_new")
    key.withUnsafeBytes { key in
      let start = key.assumingMemoryBound(to: UInt8.self).baseAddress
      OpenSSL.require(storeplane_hmac_sha256_init(keyed, start, key.count), "EVP_MAC_init")
    }
  }

  deinit { EVP_MAC_CTX_free(keyed) }

  package func code(for message: [UInt8]) -> [UInt8] {
    message.withUnsafeBytes { code(for: $0) }
  }

  package func code(for message: UnsafeRawBufferPointer) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.codeLength) { buffer, filled in
      write(codeFor: message, to: UnsafeMutableRawBufferPointer(buffer))
      filled = Self.codeLength
    }
  }

  /// As `code(for:)`, for a code that is itself a key.
  func secretCode(for message: [UInt8]) -> SecretBytes {
    SecretBytes(count: Self.codeLength) { buffer in
      message.withUnsafeBytes { write(codeFor: $0, to: buffer) }
    }
  }

  private func write(
    codeFor message: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer
  ) {
    let context = OpenSSL.require(EVP_MAC_CTX_dup(keyed), "EVP_MAC_CTX_dup")
    defer { EVP_MAC_CTX_free(context) }
    if message.count > 0 {
      let start = message.assumingMemoryBound(to: UInt8.self).baseAddress
      OpenSSL.require(EVP_MAC_update(context, start, message.count), "EVP_MAC_update")
    }
    let start = output.assumingMemoryBound(to: UInt8.self).baseAddress
    var written = 0
    OpenSSL.require(EVP_MAC_final(context, start, &written, Self.codeLength), "EVP_MAC_final")
  }

  /// Whether `code` is the message's, told in constant time.
  package func isValid(_ code: [UInt8], for message: UnsafeRawBufferPointer) -> Bool {
    ConstantTime.equal(code, self.code(for: message))
  }
}

extension HMACSHA256Key: CustomStringConvertible, CustomReflectable {
  package var description: String { "<HMAC-SHA256 key>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
