import COpenSSL

/// SHA-256 (FIPS 180-4), in one call or fed piece by piece.
package struct SHA256: ~Copyable {
  package static let digestLength = 32

  private let context: OpaquePointer

  package init() {
    context = OpenSSL.require(EVP_MD_CTX_new(), "EVP_MD_CTX_new")
    OpenSSL.require(EVP_DigestInit_ex2(context, OpenSSL.sha256, nil), "EVP_DigestInit_ex2")
  }

  deinit { EVP_MD_CTX_free(context) }

  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    OpenSSL.require(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count), "EVP_DigestUpdate")
  }

  package consuming func finish() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.digestLength) { buffer, filled in
      OpenSSL.require(
        EVP_DigestFinal_ex(context, buffer.baseAddress, nil), "EVP_DigestFinal_ex")
      filled = Self.digestLength
    }
  }

  package static func digest(_ bytes: [UInt8]) -> [UInt8] {
    bytes.withUnsafeBytes { digest($0) }
  }

  package static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: digestLength) { buffer, filled in
      OpenSSL.require(
        EVP_Digest(
          bytes.baseAddress, bytes.count, buffer.baseAddress, nil, OpenSSL.sha256, nil),
        "EVP_Digest")
      filled = digestLength
    }
  }
}
