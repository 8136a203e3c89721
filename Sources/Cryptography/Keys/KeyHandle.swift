import COpenSSL

/// An `EVP_PKEY` on the curve P-256, and its PEM forms.
///
/// `@unchecked Sendable` holds because the key is never changed after it was made, and OpenSSL
/// allows concurrent use of an unchanging key.
final class KeyHandle: @unchecked Sendable {
  /// A PEM file longer than this is no P-256 key.
  static let pemLengthMax = 16 << 10
  private static let curveNames = ["prime256v1", "P-256"]

  let pointer: OpaquePointer

  private init(owning pointer: OpaquePointer) {
    self.pointer = pointer
  }

  deinit { EVP_PKEY_free(pointer) }

  static func generate() -> KeyHandle {
    let context = OpenSSL.require(
      EVP_PKEY_CTX_new_from_name(nil, "EC", nil), "EVP_PKEY_CTX_new_from_name")
    defer { EVP_PKEY_CTX_free(context) }
    OpenSSL.require(EVP_PKEY_keygen_init(context), "EVP_PKEY_keygen_init")
    OpenSSL.require(
      EVP_PKEY_CTX_set_group_name(context, "prime256v1"), "EVP_PKEY_CTX_set_group_name")
    var key: OpaquePointer?
    OpenSSL.require(EVP_PKEY_generate(context, &key), "EVP_PKEY_generate")
    return KeyHandle(owning: OpenSSL.require(key, "EVP_PKEY_generate"))
  }

  /// The public key of the point (x, y), each of 32 bytes; nil if it is not on the curve.
  static func publicKey(x: [UInt8], y: [UInt8]) -> KeyHandle? {
    precondition(x.count == 32 && y.count == 32)
    guard let pointer = storeplane_p256_public_key([4] + x + y) else {
      OpenSSL.discardErrors()
      return nil
    }
    return KeyHandle(owning: pointer)
  }

  static func privateKey(pem: SecretBytes) throws(KeyError) -> KeyHandle {
    try load(pem, orThrow: .noPrivateKey) { PEM_read_bio_PrivateKey($0, nil, noPassphrase, nil) }
  }

  static func publicKey(pem: String) throws(KeyError) -> KeyHandle {
    try load(SecretBytes(copying: pem.utf8), orThrow: .noPublicKey) {
      PEM_read_bio_PUBKEY($0, nil, noPassphrase, nil)
    }
  }

  private static func load(
    _ pem: SecretBytes, orThrow failure: KeyError, read: (OpaquePointer) -> OpaquePointer?
  ) throws(KeyError) -> KeyHandle {
    guard pem.count <= pemLengthMax else {
      throw .tooLong(length: pem.count, maximum: pemLengthMax)
    }
    let pointer = pem.withUnsafeBytes { pem in MemoryBIO(reading: pem).withPointer(read) }
    guard let pointer else {
      OpenSSL.discardErrors()
      throw failure
    }
    let handle = KeyHandle(owning: pointer)
    guard handle.isOnP256 else { throw .otherKind }
    return handle
  }

  private var isOnP256: Bool {
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    guard EVP_PKEY_get_group_name(pointer, &name, name.count, &length) == 1 else {
      OpenSSL.discardErrors()
      return false
    }
    let text = String(decoding: name.prefix(length).map(UInt8.init(bitPattern:)), as: UTF8.self)
    return Self.curveNames.contains(text)
  }

  func privatePEM() -> SecretBytes {
    let output = MemoryBIO()
    output.withPointer { output in
      OpenSSL.require(
        PEM_write_bio_PKCS8PrivateKey(output, pointer, nil, nil, 0, nil, nil),
        "PEM_write_bio_PKCS8PrivateKey")
    }
    return output.takeBytes()
  }

  func publicPEM() -> String {
    let output = MemoryBIO()
    output.withPointer { output in
      OpenSSL.require(PEM_write_bio_PUBKEY(output, pointer), "PEM_write_bio_PUBKEY")
    }
    return output.takeText()
  }

  /// The affine coordinates of the public point, 32 bytes each.
  func coordinates() -> (x: [UInt8], y: [UInt8]) {
    (coordinate(OSSL_PKEY_PARAM_EC_PUB_X), coordinate(OSSL_PKEY_PARAM_EC_PUB_Y))
  }

  private func coordinate(_ name: String) -> [UInt8] {
    var number: OpaquePointer?
    OpenSSL.require(EVP_PKEY_get_bn_param(pointer, name, &number), "EVP_PKEY_get_bn_param")
    defer { BN_free(number) }
    var bytes = [UInt8](repeating: 0, count: 32)
    OpenSSL.require(BN_bn2binpad(number, &bytes, 32) == 32 ? 1 : 0, "BN_bn2binpad")
    return bytes
  }
}

/// Without a callback OpenSSL asks for an encrypted file's passphrase on the terminal.
private let noPassphrase:
  @convention(c) (
    UnsafeMutablePointer<CChar>?, Int32, Int32,
    UnsafeMutableRawPointer?
  ) -> Int32 = { _, _, _, _ in -1 }

package enum KeyError: Error, Equatable, CustomStringConvertible {
  case tooLong(length: Int, maximum: Int)
  case noPrivateKey
  case noPublicKey
  case otherKind
  case wrongCoordinateLength(Int)
  case notOnCurve

  package var description: String {
    switch self {
    case .tooLong(let length, let maximum):
      "\(length) bytes are too long for a PEM key; at most \(maximum) are allowed"
    case .noPrivateKey:
      "no unencrypted private key in PEM (-----BEGIN PRIVATE KEY-----) was found; make one with "
        + "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    case .noPublicKey: "no public key in PEM (-----BEGIN PUBLIC KEY-----) was found"
    case .otherKind: "the key is not an elliptic-curve key on P-256"
    case .wrongCoordinateLength(let length):
      "a P-256 coordinate has 32 bytes, not \(length)"
    case .notOnCurve: "the coordinates are not a point on P-256"
    }
  }
}
