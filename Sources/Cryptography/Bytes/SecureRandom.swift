import COpenSSL

/// Random bytes of OpenSSL's generator, which the operating system seeds.
///
/// A generator that fails leaves nothing safe to go on with, so a failure ends the process.
package enum SecureRandom {
  /// Bytes that may be seen by others: nonces, salts, identifiers.
  package static func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      OpenSSL.require(RAND_bytes(buffer.baseAddress, Int32(count)), "RAND_bytes")
      filled = count
    }
  }

  /// Bytes that stay secret: keys and passwords. They come from a generator of their own, so that
  /// what is published tells nothing of it.
  package static func secretBytes(_ count: Int) -> SecretBytes {
    SecretBytes(count: count) { buffer in
      let start = buffer.assumingMemoryBound(to: UInt8.self).baseAddress
      OpenSSL.require(RAND_priv_bytes(start, Int32(count)), "RAND_priv_bytes")
    }
  }
}
