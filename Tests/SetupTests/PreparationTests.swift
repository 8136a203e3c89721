import Configuration
import Cryptography
import Foundation
import Glibc
import Setup
import Testing

/// What an installation begins with, and that nothing of it is ever lost.
@Suite struct PreparationTests {
  private let folder = TemporaryInstallation()

  @Test func secretsAreForTheirOwnerOnly() throws {
    let outcome = try folder.prepare()
    #expect(outcome.isFirst)
    for name in [
      "storeplane.env", "admin-login", "keys/token-signing-key.pem", "tls/ca.key",
      "tls/gateway.key", "tls/provisioner.key", "tls/config.key", "tls/audit.key",
      "tls/operator.key",
    ] {
      #expect(folder.mode(name) == 0o600, "\(name)")
    }
    for name in ["tls", "keys"] { #expect(folder.mode(name) == 0o700, "\(name)") }
    for name in ["caller-keys.json", "tls/ca.crt", "tls/gateway.crt"] {
      #expect(folder.mode(name) == 0o644, "\(name)")
    }
  }

  @Test func modesDoNotDependOnTheUmask() throws {
    let before = umask(0)
    defer { umask(before) }
    try folder.prepare()
    #expect(folder.mode("storeplane.env") == 0o600)
    #expect(folder.mode("tls/ca.key") == 0o600)
  }

  @Test func keysAreAsTheServicesWantThem() throws {
    try folder.prepare()
    let settings = try InstallationSettings(folder.installation)
    let key = settings.environment(of: .config).variables["PLATFORM_ENCRYPTION_KEY"] ?? ""
    #expect(key.wholeMatch(of: /[0-9a-f]{64}/) != nil)
    _ = try PlatformEncryptionKey(hexadecimal: key)
    let pem = try folder.text("keys/token-signing-key.pem")
    let signing = try P256PrivateKey(pem: SecretBytes(copying: pem.utf8))
    let published = try JSONWebKeySet(parsing: folder.text("caller-keys.json"))
    #expect(published.keys.map(\.publicKey) == [signing.publicKey])
    #expect(
      settings.environment(of: .gateway).variables["TOKEN_SIGNING_KEY_FILE"]
        == folder.installation.signingKeyFile)
    let login = try folder.text("admin-login")
    #expect(login.contains(/(?m)^username: admin$/) && login.contains(/(?m)^tenant: main$/))
    #expect(login.contains(/(?m)^password: [A-Za-z0-9]{24}$/))
  }

  @Test func noTwoInstallationsShareAKey() throws {
    let other = TemporaryInstallation()
    try folder.prepare()
    try other.prepare()
    for name in ["keys/token-signing-key.pem", "tls/ca.key", "tls/audit.key", "admin-login"] {
      #expect(try folder.text(name) != other.text(name), "\(name)")
    }
    let secrets = try [folder, other].map { folder in
      try Set(
        folder.text("storeplane.env").split(separator: "\n").filter {
          $0.contains(/^PLATFORM_ENCRYPTION_KEY=/)
        })
    }
    #expect(secrets.map(\.count) == [1, 1])
    #expect(secrets[0].isDisjoint(with: secrets[1]))
  }

  @Test func aSecondRunChangesNothing() throws {
    try folder.prepare()
    let before = try folder.contents()
    let outcome = try folder.prepare(now: TemporaryInstallation.now + TemporaryInstallation.day)
    #expect(try folder.contents() == before)
    #expect(!outcome.isFirst && outcome.notes.isEmpty)
  }

  @Test func whatAPersonWroteStays() throws {
    try folder.prepare()
    try folder.append("# mine", "LOG_LEVEL=debug")
    let before = try folder.text("storeplane.env")
    try folder.prepare()
    #expect(try folder.text("storeplane.env") == before)
  }

  // MARK: Broken off

  /// Each file that a run makes may be the first that a broken-off run has not.
  @Test(arguments: [
    ["caller-keys.json"], ["admin-login"], ["tls/audit.crt"], ["tls/audit.key"],
    ["tls/audit.key", "tls/audit.crt"], ["keys/token-signing-key.pem", "caller-keys.json"],
  ])
  func aRunThatWasBrokenOffIsFinishedByTheNext(missing: [String]) throws {
    try folder.prepare()
    let before = try folder.contents()
    for name in missing { try folder.remove(name) }
    try folder.prepare()
    let after = try folder.contents()
    #expect(after.keys == before.keys)
    let related = Set(
      missing.flatMap {
        [
          $0, $0.replacing(".crt", with: ".key"),
          $0.replacing(".key", with: ".crt"),
        ]
      } + ["caller-keys.json"])
    for (name, text) in before where !related.contains(name) { #expect(after[name] == text) }
    #expect(folder.problems().isEmpty)
  }

  @Test func draftsOfABrokenOffRunDoNotStandInTheWay() throws {
    mkdir(folder.installation.folder, 0o711)
    try folder.write("half", to: "storeplane.env.new", mode: 0o644)
    mkdir(folder.path("tls.new"), 0o700)
    try folder.write("half", to: "tls.new/ca.key")
    try folder.prepare()
    #expect(!FileManager.default.fileExists(atPath: folder.path("tls.new")))
    #expect(!FileManager.default.fileExists(atPath: folder.path("storeplane.env.new")))
    #expect(folder.mode("storeplane.env") == 0o600)
    #expect(folder.problems().isEmpty)
  }

  // MARK: Certificates

  @Test func everyServiceHasACertificateOfItsName() throws {
    try folder.prepare()
    let authority = try Certificate(pem: folder.text("tls/ca.crt"))
    for name in ["gateway", "provisioner", "config", "audit", "operator"] {
      let certificate = try Certificate(pem: folder.text("tls/\(name).crt"))
      #expect(certificate.spiffeIdentity?.description == "spiffe://storeplane/\(name)")
      #expect(certificate.dnsNames.contains("localhost"))
      #expect(certificate.isSigned(by: authority))
      #expect(certificate.isValid(at: TemporaryInstallation.now))
      let variables = name == "operator" ? nil : PlatformService(rawValue: name)
      if let service = variables {
        let environment = try InstallationSettings(folder.installation).environment(of: service)
        #expect(environment.variables["TLS_CERTIFICATE_FILE"] == folder.path("tls/\(name).crt"))
      }
    }
  }

  @Test func certificatesAreRenewedBeforeTheirEnd() throws {
    try folder.prepare()
    let before = try folder.contents()
    let year = 365 * TemporaryInstallation.day
    let early = TemporaryInstallation.now + year - 31 * TemporaryInstallation.day
    #expect(try folder.prepare(now: early).notes.isEmpty)
    let late = TemporaryInstallation.now + year - 29 * TemporaryInstallation.day
    let outcome = try folder.prepare(now: late)
    #expect(
      outcome.notes == ["certificates made for gateway, provisioner, config, audit, operator"])
    let after = try folder.contents()
    #expect(
      before["tls/ca.crt"] == after["tls/ca.crt"] && before["tls/ca.key"] == after["tls/ca.key"])
    let certificate = try Certificate(pem: folder.text("tls/audit.crt"))
    #expect(certificate.isValid(at: late + 300 * TemporaryInstallation.day))
    #expect(folder.mode("tls/audit.key") == 0o600)
  }

  @Test func aCertificateOfAnotherAuthorityIsReplaced() throws {
    let other = TemporaryInstallation()
    try folder.prepare()
    try other.prepare()
    try folder.write(other.text("tls/config.crt"), to: "tls/config.crt", mode: 0o644)
    try folder.write(other.text("tls/config.key"), to: "tls/config.key")
    #expect(try folder.prepare().notes == ["certificates made for config"])
  }

  @Test func anAuthorityNearItsEndIsSaid() throws {
    try folder.prepare()
    let years = TemporaryInstallation.now + 3640 * TemporaryInstallation.day
    let problem = try #require(folder.problems(now: years).first)
    #expect(problem.subject == folder.path("tls/ca.crt"))
    #expect(problem.remedy.contains("remove \(folder.path("tls"))"))
  }
}
