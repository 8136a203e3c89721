import COpenSSL
import Glibc

/// A certificate authority for one installation: the install wizard and tests make with it what
/// the services need for mTLS. It signs what it is asked to, revokes nothing, and its key lies in a
/// file; larger installations bring certificates of their own.
package struct DevelopmentCertificateAuthority: Sendable {
  package static let defaultLifetimeSeconds: Int64 = 10 * 365 * 86_400
  package static let defaultLeafLifetimeSeconds: Int64 = 365 * 86_400
  /// Certificates are valid from this long before they are made, for clocks that are behind.
  package static let backdateSeconds: Int64 = 300
  package static let commonNameLengthMax = 64
  package static let nameCountMax = 32

  package let certificate: Certificate
  package let privateKey: P256PrivateKey

  /// A new authority. `now` is in seconds since 1970.
  package static func create(
    commonName: String, now: Int64, lifetimeSeconds: Int64 = defaultLifetimeSeconds
  ) throws(CertificateAuthorityError) -> DevelopmentCertificateAuthority {
    try check(commonName: commonName)
    let notAfter = try end(now: now, lifetimeSeconds: lifetimeSeconds)
    let key = P256PrivateKey.generate()
    let content = CertificateBuilder.Content(
      commonName: commonName, notBefore: now - backdateSeconds, notAfter: notAfter,
      extensions: [
        (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
        (NID_key_usage, "critical,keyCertSign,cRLSign"),
        (NID_subject_key_identifier, "hash"),
      ])
    let handle = CertificateBuilder.build(
      content, for: key.handle, issuer: nil, signer: key.handle)
    return try DevelopmentCertificateAuthority(
      certificate: readBack(handle), privateKey: key)
  }

  /// An authority made earlier.
  package init(
    certificate: Certificate, privateKey: P256PrivateKey
  ) throws(CertificateAuthorityError) {
    guard certificate.belongs(to: privateKey) else { throw .keyOfAnother }
    guard X509_check_ca(certificate.handle.pointer) == 1 else { throw .notAnAuthority }
    self.certificate = certificate
    self.privateKey = privateKey
  }

  /// Who a leaf certificate is for.
  package struct LeafRequest: Sendable {
    package var identity: SPIFFEIdentity
    package var dnsNames: [String]
    /// IPv4 and IPv6 addresses as text.
    package var addresses: [String]

    package init(identity: SPIFFEIdentity, dnsNames: [String] = [], addresses: [String] = []) {
      self.identity = identity
      self.dnsNames = dnsNames
      self.addresses = addresses
    }

    /// A service of Storeplane: `spiffe://storeplane/NAME`.
    package init(
      service: String, dnsNames: [String] = [], addresses: [String] = []
    ) throws(SPIFFEIdentityError) {
      self.init(
        identity: try SPIFFEIdentity("spiffe://storeplane/\(service)"), dnsNames: dnsNames,
        addresses: addresses)
    }
  }

  package struct Leaf: Sendable {
    package let certificate: Certificate
    package let privateKey: P256PrivateKey
  }

  /// A certificate for TLS as server and as client, with a new key. It ends with the authority's
  /// own at the latest.
  package func issue(
    _ request: LeafRequest, now: Int64, lifetimeSeconds: Int64 = defaultLeafLifetimeSeconds
  ) throws(CertificateAuthorityError) -> Leaf {
    guard certificate.isValid(at: now) else { throw .notValidNow(until: certificate.notAfter) }
    let notAfter = try Self.end(now: now, lifetimeSeconds: lifetimeSeconds)
    let names = try Self.alternativeNames(request)
    let key = P256PrivateKey.generate()
    let content = CertificateBuilder.Content(
      commonName: Self.commonName(of: request.identity),
      notBefore: max(now - Self.backdateSeconds, certificate.notBefore),
      notAfter: min(notAfter, certificate.notAfter),
      extensions: [
        (NID_basic_constraints, "critical,CA:FALSE"),
        (NID_key_usage, "critical,digitalSignature"),
        (NID_ext_key_usage, "serverAuth,clientAuth"),
        (NID_subject_alt_name, names),
        (NID_subject_key_identifier, "hash"),
        (NID_authority_key_identifier, "keyid:always"),
      ])
    let handle = CertificateBuilder.build(
      content, for: key.handle, issuer: certificate.handle, signer: privateKey.handle)
    return Leaf(certificate: try Self.readBack(handle), privateKey: key)
  }

  private static func readBack(
    _ handle: CertificateHandle
  ) throws(CertificateAuthorityError) -> Certificate {
    do {
      return try Certificate(handle: handle)
    } catch {
      throw .unreadable(error)
    }
  }

  private static func end(
    now: Int64, lifetimeSeconds: Int64
  ) throws(CertificateAuthorityError) -> Int64 {
    let (notAfter, isTooFar) = now.addingReportingOverflow(lifetimeSeconds)
    guard lifetimeSeconds > 0, !isTooFar, notAfter <= Timestamp.secondsMax else {
      throw .wrongLifetime(seconds: lifetimeSeconds)
    }
    return notAfter
  }

  private static func check(commonName: String) throws(CertificateAuthorityError) {
    guard (1...commonNameLengthMax).contains(commonName.unicodeScalars.count),
      commonName.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f })
    else { throw .wrongCommonName }
  }

  private static func commonName(of identity: SPIFFEIdentity) -> String {
    String((identity.segments.last ?? identity.trustDomain).prefix(commonNameLengthMax))
  }

  private static func alternativeNames(
    _ request: LeafRequest
  ) throws(CertificateAuthorityError) -> String {
    let count = request.dnsNames.count + request.addresses.count
    guard count <= nameCountMax else { throw .tooManyNames(count: count, maximum: nameCountMax) }
    var names = ["URI:\(request.identity)"]
    for name in request.dnsNames {
      guard isDNSName(name) else { throw .wrongDNSName(name) }
      names.append("DNS:\(name)")
    }
    for address in request.addresses {
      guard isAddress(address) else { throw .wrongAddress(address) }
      names.append("IP:\(address)")
    }
    return names.joined(separator: ",")
  }

  /// Letters, digits and inner hyphens between dots, the first label possibly `*`.
  private static func isDNSName(_ name: String) -> Bool {
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...253).contains(name.utf8.count) else { return false }
    return labels.enumerated().allSatisfy { index, label in
      if label == "*" { return index == 0 && labels.count > 1 }
      return (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    }
  }

  private static func isAddress(_ text: String) -> Bool {
    // C reads up to the first NUL.
    guard !text.utf8.contains(0) else { return false }
    var address = [UInt8](repeating: 0, count: 16)
    return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1
  }
}

package enum CertificateAuthorityError: Error, Equatable, CustomStringConvertible {
  case keyOfAnother
  case notAnAuthority
  case notValidNow(until: Int64)
  case wrongLifetime(seconds: Int64)
  case wrongCommonName
  case wrongDNSName(String)
  case wrongAddress(String)
  case tooManyNames(count: Int, maximum: Int)
  case unreadable(CertificateError)

  package var description: String {
    switch self {
    case .keyOfAnother: "the private key is not that of the authority's certificate"
    case .notAnAuthority: "the certificate is not a certificate authority's (CA:TRUE)"
    case .notValidNow(let time):
      "the authority's certificate is not valid now (it ends at \(Timestamp.text(time))); make a "
        + "new authority"
    case .wrongLifetime(let seconds):
      "a certificate cannot be valid for \(seconds) s; it takes at least 1 s and ends before the "
        + "year 10000"
    case .wrongCommonName:
      "a common name has 1 to \(DevelopmentCertificateAuthority.commonNameLengthMax) printable "
        + "characters"
    case .wrongDNSName(let name): "\"\(name)\" is not a DNS name"
    case .wrongAddress(let address): "\"\(address)\" is not an IPv4 or IPv6 address"
    case .tooManyNames(let count, let maximum):
      "\(count) DNS names and addresses; at most \(maximum) are allowed"
    case .unreadable(let error): "the certificate made cannot be read back: \(error)"
    }
  }
}
