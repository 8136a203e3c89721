import COpenSSL

/// PEM texts of a side of a TLS connection that were never in a file.
package struct TLSCredentials: Sendable, Equatable {
  /// Our certificate, then what chains it to an authority.
  package var certificate: [UInt8]?
  /// The certificate's private key, not encrypted.
  package var key: [UInt8]?
  /// The authorities we trust, one or more.
  package var authorities: [UInt8]?

  package init(
    certificate: [UInt8]? = nil, key: [UInt8]? = nil, authorities: [UInt8]? = nil
  ) {
    self.certificate = certificate
    self.key = key
    self.authorities = authorities
  }

  func load(into context: OpaquePointer) throws(TLSError) {
    if let certificate { try loadCertificate(certificate, into: context) }
    if let key { try loadKey(key, into: context) }
    if let authorities { try loadAuthorities(authorities, into: context) }
  }

  private func loadCertificate(
    _ pem: [UInt8], into context: OpaquePointer
  ) throws(TLSError) {
    let chain = try TLSCredentials.certificates(pem, "the certificate")
    defer { for certificate in chain { X509_free(certificate) } }
    guard SSL_CTX_use_certificate(context, chain[0]) == 1 else {
      throw TLSCredentials.error("the certificate cannot be used")
    }
    for certificate in chain.dropFirst() {
      // Takes a reference of its own.
      let added = SSL_CTX_ctrl(
        context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(certificate))
      guard added == 1 else {
        throw TLSCredentials.error("the certificate's chain cannot be used")
      }
    }
  }

  private func loadKey(_ pem: [UInt8], into context: OpaquePointer) throws(TLSError) {
    let key = TLSCredentials.withBIO(pem) { bio in
      // Without a callback OpenSSL would ask for a passphrase on the terminal.
      PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in 0 }, nil)
    }
    guard let key else {
      throw TLSCredentials.error("the key is not an unencrypted PEM private key")
    }
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_PrivateKey(context, key) == 1, SSL_CTX_check_private_key(context) == 1
    else { throw TLSCredentials.error("the key does not belong to the certificate") }
  }

  private func loadAuthorities(
    _ pem: [UInt8], into context: OpaquePointer
  ) throws(TLSError) {
    let authorities = try TLSCredentials.certificates(pem, "the authorities")
    defer { for authority in authorities { X509_free(authority) } }
    let store = SSL_CTX_get_cert_store(context)
    for authority in authorities where X509_STORE_add_cert(store, authority) != 1 {
      throw TLSCredentials.error("an authority cannot be used")
    }
  }

  /// Every certificate of `pem`, at least one, each owned by the caller.
  private static func certificates(
    _ pem: [UInt8], _ what: String
  ) throws(TLSError) -> [OpaquePointer] {
    var found: [OpaquePointer] = []
    withBIO(pem) { bio in
      while let certificate = PEM_read_bio_X509(bio, nil, { _, _, _, _ in 0 }, nil) {
        found.append(certificate)
      }
    }
    // The end of the text is an error to OpenSSL, and so is a certificate that is none.
    let last = ERR_peek_last_error()
    let endedWell = ERR_GET_REASON(last) == PEM_R_NO_START_LINE
    ERR_clear_error()
    guard endedWell, !found.isEmpty else {
      for certificate in found { X509_free(certificate) }
      throw TLSError(
        .badCredentials, "\(what): not PEM, or with a damaged certificate")
    }
    return found
  }

  private static func withBIO<R>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> R) -> R {
    bytes.withUnsafeBytes { buffer in
      let bio = BIO_new_mem_buf(buffer.baseAddress, Int32(clamping: buffer.count))
      defer { BIO_free(bio) }
      return body(bio)
    }
  }

  private static func error(_ detail: String) -> TLSError {
    ERR_clear_error()
    return TLSError(.badCredentials, detail)
  }
}
