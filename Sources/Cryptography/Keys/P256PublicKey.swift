import COpenSSL

/// A public key for ECDSA with P-256 and SHA-256, which JOSE calls ES256 (RFC 7518, section 3.4).
///
/// `@unchecked Sendable` holds because the prepared context is only ever duplicated.
package final class P256PublicKey: @unchecked Sendable {
  package static let coordinateLength = 32

  /// The affine coordinates, 32 bytes each.
  package let x: [UInt8]
  package let y: [UInt8]

  let handle: KeyHandle
  private let prepared: OpaquePointer

  package convenience init(x: [UInt8], y: [UInt8]) throws(KeyError) {
    for coordinate in [x, y] where coordinate.count != Self.coordinateLength {
      throw .wrongCoordinateLength(coordinate.count)
    }
    guard let handle = KeyHandle.publicKey(x: x, y: y) else { throw .notOnCurve }
    self.init(handle: handle)
  }

  /// Reads `-----BEGIN PUBLIC KEY-----`.
  package convenience init(pem: String) throws(KeyError) {
    self.init(handle: try KeyHandle.publicKey(pem: pem))
  }

  /// `handle` may also hold the private half; it is not used.
  init(handle: KeyHandle) {
    self.handle = handle
    (x, y) = handle.coordinates()
    prepared = OpenSSL.require(
      EVP_PKEY_CTX_new_from_pkey(nil, handle.pointer, nil), "EVP_PKEY_CTX_new_from_pkey")
    OpenSSL.require(EVP_PKEY_verify_init(prepared), "EVP_PKEY_verify_init")
  }

  deinit { EVP_PKEY_CTX_free(prepared) }

  package func pem() -> String { handle.publicPEM() }

  /// Whether `signature`, r and s of 32 bytes each, is the key's for `message`.
  package func isValid(_ signature: [UInt8], for message: [UInt8]) -> Bool {
    message.withUnsafeBytes { isValid(signature, for: $0) }
  }

  func isValid(_ signature: [UInt8], for message: UnsafeRawBufferPointer) -> Bool {
    guard let signature = ECDSASignature(raw: signature)?.der else { return false }
    let digest = SHA256.digest(message)
    let context = OpenSSL.require(EVP_PKEY_CTX_dup(prepared), "EVP_PKEY_CTX_dup")
    defer { EVP_PKEY_CTX_free(context) }
    guard
      EVP_PKEY_verify(context, signature, signature.count, digest, digest.count) == 1
    else {
      OpenSSL.discardErrors()
      return false
    }
    return true
  }

  /// The key's JWK thumbprint (RFC 7638) with SHA-256, in base64url: the key id of our tokens.
  package var thumbprint: String {
    let members =
      #"{"crv":"P-256","kty":"EC","x":"\#(Base64.url.encode(x))","y":"\#(Base64.url.encode(y))"}"#
    return Base64.url.encode(SHA256.digest([UInt8](members.utf8)))
  }
}

extension P256PublicKey: Equatable {
  package static func == (left: P256PublicKey, right: P256PublicKey) -> Bool {
    left.x == right.x && left.y == right.y
  }
}
