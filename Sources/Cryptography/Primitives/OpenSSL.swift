import COpenSSL

/// OpenSSL's algorithms, fetched once, and what to do with its failures.
///
/// Fetching by name searches the providers under a lock, so it is kept off every call's path.
enum OpenSSL {
  nonisolated(unsafe) static let sha256 = found(EVP_MD_fetch(nil, "SHA256", nil), "SHA256")
  nonisolated(unsafe) static let hmac = found(EVP_MAC_fetch(nil, "HMAC", nil), "HMAC")
  nonisolated(unsafe) static let scrypt = found(EVP_KDF_fetch(nil, "SCRYPT", nil), "SCRYPT")
  nonisolated(unsafe) static let aes256GCM = found(
    EVP_CIPHER_fetch(nil, "AES-256-GCM", nil), "AES-256-GCM")

  /// Ends the process unless `status` is 1: for calls that fail only when memory or randomness
  /// runs out, or when the library lacks an algorithm, where going on would be unsafe.
  static func require(_ status: Int32, _ operation: StaticString) {
    guard status == 1 else { fail(operation) }
  }

  static func require(_ pointer: OpaquePointer?, _ operation: StaticString) -> OpaquePointer {
    guard let pointer else { fail(operation) }
    return pointer
  }

  /// Forgets this thread's queued errors. Every expected failure calls it: a queued error would
  /// be taken for its own by the next TLS call on the thread.
  static func discardErrors() {
    ERR_clear_error()
  }

  private static func found(_ algorithm: OpaquePointer?, _ name: String) -> OpaquePointer {
    guard let algorithm else {
      fatalError("OpenSSL offers no \(name): its default provider must be active")
    }
    return algorithm
  }

  private static func fail(_ operation: StaticString) -> Never {
    let reason = ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) }
    fatalError("OpenSSL's \(operation) failed: \(reason ?? "no reason given")")
  }
}
