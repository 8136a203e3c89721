/// An X.509 certificate: who it is for and from when until when. Whether to trust it is TLS's to
/// say.
package struct Certificate: Sendable {
  package static let derLengthMax = 64 << 10
  package static let pemLengthMax = 1 << 20
  /// Certificates in one PEM text.
  package static let chainCountMax = 16
  package static let alternativeNameCountMax = 64

  /// The distinguished name as text (RFC 2253), for people to read.
  package let subject: String
  /// The one URI among the alternative names, if it is a SPIFFE identity; else nil. A certificate
  /// with several URIs has none, as the X.509-SVID specification says.
  package let spiffeIdentity: SPIFFEIdentity?
  package let dnsNames: [String]
  package let addresses: [String]
  /// The validity, both ends inclusive, in seconds since 1970.
  package let notBefore: Int64
  package let notAfter: Int64

  let handle: CertificateHandle

  package init(der: [UInt8]) throws(CertificateError) {
    guard der.count <= Self.derLengthMax else {
      throw .tooLong(length: der.count, maximum: Self.derLengthMax)
    }
    guard let handle = CertificateHandle.parse(der: der) else { throw .notCertificate }
    try self.init(handle: handle)
  }

  /// The first certificate of a PEM text.
  package init(pem: String) throws(CertificateError) {
    self = try Self.chain(pem: pem)[0]
  }

  /// All certificates of a PEM text, in their order; there is at least one.
  package static func chain(pem: String) throws(CertificateError) -> [Certificate] {
    guard pem.utf8.count <= pemLengthMax else {
      throw .tooLong(length: pem.utf8.count, maximum: pemLengthMax)
    }
    let handles = CertificateHandle.parse(pem: [UInt8](pem.utf8), countMax: chainCountMax + 1)
    guard !handles.isEmpty else { throw .noCertificate }
    guard handles.count <= chainCountMax else { throw .tooMany(maximum: chainCountMax) }
    var certificates: [Certificate] = []
    for handle in handles { certificates.append(try Certificate(handle: handle)) }
    return certificates
  }

  init(handle: CertificateHandle) throws(CertificateError) {
    guard let notBefore = handle.notBefore(), let notAfter = handle.notAfter() else {
      throw .unreadableValidity
    }
    guard let names = handle.alternativeNames(countMax: Self.alternativeNameCountMax) else {
      throw .unreadableAlternativeNames
    }
    self.handle = handle
    self.notBefore = notBefore
    self.notAfter = notAfter
    subject = handle.subject()
    dnsNames = names.dnsNames
    addresses = names.addresses
    spiffeIdentity = names.uris.count == 1 ? try? SPIFFEIdentity(names.uris[0]) : nil
  }

  package func der() -> [UInt8] { handle.der() }

  package func pem() -> String { handle.pem() }

  package func isValid(at now: Int64) -> Bool { notBefore <= now && now <= notAfter }

  /// Whether `issuer`'s name and key are those that this certificate was signed with.
  package func isSigned(by issuer: Certificate) -> Bool { handle.isSigned(by: issuer.handle) }

  package func belongs(to key: P256PrivateKey) -> Bool { handle.belongs(to: key.handle) }
}

package enum CertificateError: Error, Equatable, CustomStringConvertible {
  case tooLong(length: Int, maximum: Int)
  case notCertificate
  case noCertificate
  case tooMany(maximum: Int)
  case unreadableValidity
  case unreadableAlternativeNames

  package var description: String {
    switch self {
    case .tooLong(let length, let maximum):
      "a certificate of \(length) bytes; at most \(maximum) are allowed"
    case .notCertificate: "the bytes are not one X.509 certificate in DER"
    case .noCertificate:
      "no certificate in PEM (-----BEGIN CERTIFICATE-----) was found"
    case .tooMany(let maximum): "more than \(maximum) certificates in one PEM text"
    case .unreadableValidity: "the certificate's validity cannot be read"
    case .unreadableAlternativeNames:
      "the certificate's alternative names cannot be read, or are more than "
        + "\(Certificate.alternativeNameCountMax)"
    }
  }
}
