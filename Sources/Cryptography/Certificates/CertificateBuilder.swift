import COpenSSL

/// Puts together and signs one X.509 v3 certificate on P-256.
enum CertificateBuilder {
  struct Content {
    let commonName: String
    let notBefore: Int64
    let notAfter: Int64
    /// Extensions in the notation of OpenSSL's `x509v3_config`. Their parts have been checked for
    /// characters that mean something in it.
    let extensions: [(identifier: Int32, value: String)]
  }

  private static let version3 = 2
  private static let serialLength = 16

  /// `issuer` is nil for a certificate that signs itself with `signer`.
  static func build(
    _ content: Content, for key: KeyHandle, issuer: CertificateHandle?, signer: KeyHandle
  ) -> CertificateHandle {
    let pointer = OpenSSL.require(X509_new(), "X509_new")
    let issuerPointer = issuer?.pointer ?? pointer
    OpenSSL.require(X509_set_version(pointer, version3), "X509_set_version")
    setSerial(of: pointer)
    setTime(X509_getm_notBefore(pointer), content.notBefore)
    setTime(X509_getm_notAfter(pointer), content.notAfter)
    OpenSSL.require(
      X509_NAME_add_entry_by_txt(
        X509_get_subject_name(pointer), "CN", storeplane_name_string_utf8(),
        [UInt8](content.commonName.utf8), Int32(content.commonName.utf8.count), -1, 0),
      "X509_NAME_add_entry_by_txt")
    OpenSSL.require(
      X509_set_issuer_name(pointer, X509_get_subject_name(issuerPointer)), "X509_set_issuer_name")
    OpenSSL.require(X509_set_pubkey(pointer, key.pointer), "X509_set_pubkey")
    addExtensions(content.extensions, to: pointer, issuer: issuerPointer)
    let length = X509_sign(pointer, signer.pointer, OpenSSL.sha256)
    OpenSSL.require(length > 0 ? 1 : 0, "X509_sign")
    return CertificateHandle(owning: pointer)
  }

  /// 127 random bits, positive and not zero (RFC 5280, section 4.1.2.2).
  private static func setSerial(of certificate: OpaquePointer) {
    var bytes = SecureRandom.bytes(serialLength)
    bytes[0] = bytes[0] & 0x7f | 0x40
    let number = BN_bin2bn(bytes, Int32(bytes.count), nil)
    defer { BN_free(number) }
    let serial = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate))
    OpenSSL.require(serial == nil ? 0 : 1, "BN_to_ASN1_INTEGER")
  }

  private static func setTime(_ time: UnsafeMutablePointer<ASN1_TIME>?, _ seconds: Int64) {
    OpenSSL.require(ASN1_TIME_set(time, time_t(seconds)) == nil ? 0 : 1, "ASN1_TIME_set")
  }

  private static func addExtensions(
    _ extensions: [(identifier: Int32, value: String)], to certificate: OpaquePointer,
    issuer: OpaquePointer
  ) {
    var context = X509V3_CTX()
    X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
    for (identifier, value) in extensions {
      let part = OpenSSL.require(
        X509V3_EXT_conf_nid(nil, &context, identifier, value), "X509V3_EXT_conf_nid")
      defer { X509_EXTENSION_free(part) }
      OpenSSL.require(X509_add_ext(certificate, part, -1), "X509_add_ext")
    }
  }
}
