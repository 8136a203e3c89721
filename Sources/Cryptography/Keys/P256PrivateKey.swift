import COpenSSL

/// A private key for ECDSA with P-256 and SHA-256.
///
/// `@unchecked Sendable` holds because the prepared context is only ever duplicated.
package final class P256PrivateKey: @unchecked Sendable {
  package let publicKey: P256PublicKey

  let handle: KeyHandle
  private let prepared: OpaquePointer

  package static func generate() -> P256PrivateKey {
    P256PrivateKey(handle: KeyHandle.generate())
  }

  /// Reads an unencrypted `-----BEGIN PRIVATE KEY-----` (PKCS#8) or `-----BEGIN EC PRIVATE
  /// KEY-----`.
  package convenience init(pem: SecretBytes) throws(KeyError) {
    self.init(handle: try KeyHandle.privateKey(pem: pem))
  }

  private init(handle: KeyHandle) {
    self.handle = handle
    publicKey = P256PublicKey(handle: handle)
    prepared = OpenSSL.require(
      EVP_PKEY_CTX_new_from_pkey(nil, handle.pointer, nil), "EVP_PKEY_CTX_new_from_pkey")
    OpenSSL.require(EVP_PKEY_sign_init(prepared), "EVP_PKEY_sign_init")
  }

  deinit { EVP_PKEY_CTX_free(prepared) }

  /// The key as PKCS#8, unencrypted: for a file that its owner alone may read.
  package func pem() -> SecretBytes { handle.privatePEM() }

  /// r and s, 32 bytes each.
  package func signature(for message: [UInt8]) -> [UInt8] {
    let digest = SHA256.digest(message)
    let context = OpenSSL.require(EVP_PKEY_CTX_dup(prepared), "EVP_PKEY_CTX_dup")
    defer { EVP_PKEY_CTX_free(context) }
    let der = [UInt8](unsafeUninitializedCapacity: ECDSASignature.derLengthMax) { buffer, filled in
      filled = ECDSASignature.derLengthMax
      OpenSSL.require(
        EVP_PKEY_sign(context, buffer.baseAddress, &filled, digest, digest.count),
        "EVP_PKEY_sign")
    }
    guard let signature = ECDSASignature(der: der) else {
      preconditionFailure("OpenSSL's ECDSA signature is DER")
    }
    return signature.raw
  }
}

extension P256PrivateKey: CustomStringConvertible, CustomReflectable {
  package var description: String { "<P-256 private key>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
