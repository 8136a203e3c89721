import COpenSSL
import Testing

@testable import Cryptography

@Suite struct DevelopmentCertificateAuthorityTests {
  static let now: Int64 = 1_800_000_000

  let authority: DevelopmentCertificateAuthority

  init() throws {
    authority = try .create(commonName: "Storeplane development, Ltd. = \"x\"", now: Self.now)
  }

  private func issue(
    dnsNames: [String] = [], addresses: [String] = []
  ) throws -> DevelopmentCertificateAuthority.Leaf {
    try authority.issue(
      .init(service: "config", dnsNames: dnsNames, addresses: addresses), now: Self.now)
  }

  @Test func issuesLeavesThatReadBack() throws {
    let leaf = try issue(
      dnsNames: ["localhost", "config.storeplane.svc", "*.example.com"],
      addresses: ["127.0.0.1", "::1", "2001:db8::7"])
    let certificate = leaf.certificate
    #expect(certificate.subject == "CN=config")
    #expect(certificate.spiffeIdentity?.description == "spiffe://storeplane/config")
    #expect(certificate.dnsNames == ["localhost", "config.storeplane.svc", "*.example.com"])
    #expect(certificate.addresses == ["127.0.0.1", "::1", "2001:db8::7"])
    #expect(certificate.notBefore == Self.now - 300)
    #expect(certificate.notAfter == Self.now + 365 * 86_400)
    #expect(certificate.isSigned(by: authority.certificate))
    #expect(certificate.belongs(to: leaf.privateKey))
    #expect(!certificate.belongs(to: authority.privateKey))
    #expect(certificate.isValid(at: Self.now) && !certificate.isValid(at: Self.now - 301))
    #expect(!certificate.isValid(at: certificate.notAfter + 1))
    #expect(ERR_peek_error() == 0)
  }

  @Test func nodeAgrees() throws {
    struct Report: Decodable {
      let signed, authority, ownKey: Bool
      let names: String
      let validTo: Int64
    }
    let leaf = try issue(dnsNames: ["localhost"], addresses: ["127.0.0.1"])
    let report: Report = try NodePeer.ask(
      "certificate",
      [
        "leaf": leaf.certificate.pem(), "authority": authority.certificate.pem(),
        "key": leaf.privateKey.pem().copyText() ?? "",
      ])
    #expect(report.signed && report.authority && report.ownKey)
    #expect(
      report.names == "URI:spiffe://storeplane/config, DNS:localhost, IP Address:127.0.0.1")
    #expect(report.validTo == leaf.certificate.notAfter)
  }

  @Test func isKeptAndReadAgain() throws {
    let kept = try DevelopmentCertificateAuthority(
      certificate: Certificate(pem: authority.certificate.pem()),
      privateKey: P256PrivateKey(pem: authority.privateKey.pem()))
    let leaf = try kept.issue(.init(service: "audit"), now: Self.now)
    #expect(leaf.certificate.isSigned(by: authority.certificate))
    let other = try DevelopmentCertificateAuthority.create(commonName: "other", now: Self.now)
    #expect(!leaf.certificate.isSigned(by: other.certificate))
    #expect(throws: CertificateAuthorityError.keyOfAnother) {
      try DevelopmentCertificateAuthority(
        certificate: authority.certificate, privateKey: other.privateKey)
    }
    #expect(throws: CertificateAuthorityError.notAnAuthority) {
      try DevelopmentCertificateAuthority(
        certificate: leaf.certificate, privateKey: leaf.privateKey)
    }
  }

  @Test func leavesEndWithTheirAuthority() throws {
    let brief = try DevelopmentCertificateAuthority.create(
      commonName: "brief", now: Self.now, lifetimeSeconds: 100)
    let leaf = try brief.issue(.init(service: "audit"), now: Self.now + 100)
    #expect(leaf.certificate.notAfter == Self.now + 100)
    #expect(throws: CertificateAuthorityError.notValidNow(until: Self.now + 100)) {
      try brief.issue(.init(service: "audit"), now: Self.now + 101)
    }
  }

  @Test(arguments: [
    "", "a,DNS:evil.example", "a b", "-a", "a-", "a..b", "*", "a.*", "é.example", ".a", "a.",
    "URI:x", String(repeating: "a", count: 64), "a\0b", "a\n",
  ])
  func refusesWhatIsNoDNSName(_ name: String) {
    #expect(throws: CertificateAuthorityError.wrongDNSName(name)) { try issue(dnsNames: [name]) }
  }

  @Test(arguments: ["", "localhost", "127.0.0", "127.0.0.1,DNS:evil", "::g", "127.0.0.1\0,x"])
  func refusesWhatIsNoAddress(_ address: String) {
    #expect(throws: CertificateAuthorityError.wrongAddress(address)) {
      try issue(addresses: [address])
    }
  }

  @Test func refusesOtherNonsense() {
    let maximum = DevelopmentCertificateAuthority.nameCountMax
    #expect(throws: CertificateAuthorityError.tooManyNames(count: maximum + 1, maximum: maximum)) {
      try issue(dnsNames: [String](repeating: "a", count: maximum + 1))
    }
    for name in ["", "a\nb", String(repeating: "n", count: 65)] {
      #expect(throws: CertificateAuthorityError.wrongCommonName) {
        try DevelopmentCertificateAuthority.create(commonName: name, now: Self.now)
      }
    }
    for lifetime in [0, -1, Int64.max] {
      #expect(throws: CertificateAuthorityError.wrongLifetime(seconds: lifetime)) {
        try authority.issue(
          .init(service: "audit"), now: Self.now, lifetimeSeconds: lifetime)
      }
    }
  }
}

@Suite struct CertificateTests {
  private static func certificate() throws -> Certificate {
    try DevelopmentCertificateAuthority.create(commonName: "one", now: 1_800_000_000).certificate
  }

  @Test func readsDERAndPEM() throws {
    let certificate = try Self.certificate()
    let again = try Certificate(der: certificate.der())
    #expect(again.subject == "CN=one" && again.notAfter == certificate.notAfter)
    #expect(again.spiffeIdentity == nil && again.dnsNames.isEmpty && again.addresses.isEmpty)
    #expect(again.der() == certificate.der())
    #expect(try Certificate(pem: "text before\n" + certificate.pem()).der() == again.der())
  }

  @Test func refusesOtherBytes() throws {
    let der = try Self.certificate().der()
    #expect(throws: CertificateError.notCertificate) { try Certificate(der: []) }
    #expect(throws: CertificateError.notCertificate) { try Certificate(der: der + [0]) }
    for length in der.indices {
      #expect(throws: CertificateError.notCertificate) {
        try Certificate(der: [UInt8](der.prefix(length)))
      }
    }
    #expect(throws: CertificateError.noCertificate) { try Certificate(pem: "") }
    let long = [UInt8](repeating: 0, count: Certificate.derLengthMax + 1)
    #expect(
      throws: CertificateError.tooLong(length: long.count, maximum: Certificate.derLengthMax)
    ) { try Certificate(der: long) }
    let text = String(repeating: "x", count: Certificate.pemLengthMax + 1)
    #expect(
      throws: CertificateError.tooLong(
        length: text.utf8.count, maximum: Certificate.pemLengthMax)
    ) { try Certificate(pem: text) }
    #expect(ERR_peek_error() == 0)
  }

  @Test func limitsChains() throws {
    let pem = try Self.certificate().pem()
    let maximum = Certificate.chainCountMax
    #expect(try Certificate.chain(pem: String(repeating: pem, count: maximum)).count == maximum)
    #expect(throws: CertificateError.tooMany(maximum: maximum)) {
      try Certificate.chain(pem: String(repeating: pem, count: maximum + 1))
    }
  }

  /// Alternative names as another authority may write them.
  private static func certificate(names: String) throws -> Certificate {
    let key = KeyHandle.generate()
    let content = CertificateBuilder.Content(
      commonName: "x", notBefore: 0, notAfter: 1, extensions: [(NID_subject_alt_name, names)])
    return try Certificate(
      handle: CertificateBuilder.build(content, for: key, issuer: nil, signer: key))
  }

  @Test(
    arguments: [
      ("URI:spiffe://storeplane/config", "spiffe://storeplane/config"),
      ("email:a@b.example,URI:spiffe://storeplane/config", "spiffe://storeplane/config"),
      ("URI:spiffe://storeplane/config,URI:spiffe://storeplane/audit", nil),
      ("URI:spiffe://storeplane/config,URI:https://storeplane/config", nil),
      ("URI:https://storeplane/config", nil), ("DNS:spiffe://storeplane/config", nil),
      ("URI:spiffe://storeplane/../config", nil),
    ] as [(String, String?)])
  func aCertificateHasOneIdentityOrNone(_ names: String, _ identity: String?) throws {
    #expect(try Self.certificate(names: names).spiffeIdentity?.description == identity)
  }

  @Test func limitsAlternativeNames() throws {
    let maximum = Certificate.alternativeNameCountMax
    func names(_ count: Int) -> String {
      (0..<count).map { "DNS:n\($0)" }.joined(separator: ",")
    }
    #expect(try Self.certificate(names: names(maximum)).dnsNames.count == maximum)
    #expect(throws: CertificateError.unreadableAlternativeNames) {
      try Self.certificate(names: names(maximum + 1))
    }
  }
}

@Suite struct SPIFFEIdentityTests {
  @Test(arguments: [
    "spiffe://storeplane/config", "spiffe://a.b-c_1", "spiffe://d/Path/To.the_w-1",
  ])
  func takesIdentities(_ text: String) throws {
    #expect(try SPIFFEIdentity(text).description == text)
  }

  @Test(arguments: [
    ("", SPIFFEIdentityError.wrongScheme), ("https://a/b", .wrongScheme),
    ("SPIFFE://a/b", .wrongScheme), ("spiffe:///b", .wrongTrustDomain),
    ("spiffe://A/b", .wrongTrustDomain), ("spiffe://a:1/b", .wrongTrustDomain),
    ("spiffe://u@a/b", .wrongTrustDomain), ("spiffe://a/", .wrongPath),
    ("spiffe://a//b", .wrongPath), ("spiffe://a/./b", .wrongPath), ("spiffe://a/..", .wrongPath),
    ("spiffe://a/b?c", .wrongPath), ("spiffe://a/b%20", .wrongPath), ("spiffe://a/é", .wrongPath),
    ("spiffe://a/b,URI:spiffe://a/c", .wrongPath),
  ])
  func refusesOthers(_ text: String, _ expected: SPIFFEIdentityError) {
    #expect(throws: expected) { try SPIFFEIdentity(text) }
  }

  @Test func limitsLengths() {
    let long = "spiffe://a/" + String(repeating: "b", count: SPIFFEIdentity.lengthMax)
    #expect(
      throws: SPIFFEIdentityError.tooLong(
        length: long.utf8.count, maximum: SPIFFEIdentity.lengthMax)
    ) { try SPIFFEIdentity(long) }
    #expect(throws: SPIFFEIdentityError.wrongTrustDomain) {
      try SPIFFEIdentity("spiffe://" + String(repeating: "a", count: 256))
    }
  }
}
