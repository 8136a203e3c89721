import Configuration
import Foundation
import Glibc
import Setup
import Testing

/// What is wrong is named, with its remedy, and left as it is.
@Suite struct RefusalTests {
  private let folder = TemporaryInstallation()

  @Test(arguments: [
    "storeplane.env", "keys/token-signing-key.pem", "tls/ca.key", "tls/audit.key",
    "admin-login",
  ])
  func aSecretThatOthersMayReadIsRefused(name: String) throws {
    try folder.prepare()
    chmod(folder.path(name), 0o644)
    let problem = try #require(folder.problems().first)
    #expect(problem.subject == folder.path(name))
    #expect(problem.reason.contains("mode 644"))
    #expect(problem.remedy.hasPrefix("chmod 600 \(folder.path(name))"))
  }

  @Test(arguments: ["keys/token-signing-key.pem", "tls/ca.key", "tls/audit.key"])
  func aDamagedKeyIsNeverReplaced(name: String) throws {
    try folder.prepare()
    try folder.write("not a key\n", to: name)
    let problem = try #require(folder.problems().first)
    #expect(problem.subject == folder.path(name))
    #expect(problem.reason.contains("no P-256 private key"))
    #expect(problem.remedy.contains("restore it"))
    #expect(try folder.text(name) == "not a key\n")
  }

  @Test func aLostSigningKeyIsNotMadeAgain() throws {
    try folder.prepare()
    let before = try folder.text("caller-keys.json")
    try folder.remove("keys/token-signing-key.pem")
    let problem = try #require(folder.problems().first)
    #expect(problem.subject == folder.path("keys/token-signing-key.pem"))
    #expect(problem.reason.hasPrefix("is missing"))
    #expect(problem.remedy.contains("remove \(folder.path("caller-keys.json"))"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("keys/token-signing-key.pem")))
    #expect(try folder.text("caller-keys.json") == before)
  }

  @Test(arguments: [("tls/ca.key", "tls/ca.crt"), ("tls/ca.crt", "tls/ca.key")])
  func halfAnAuthorityIsRefused(missing: String, left: String) throws {
    try folder.prepare()
    let before = try folder.text(left)
    try folder.remove(missing)
    let problem = try #require(folder.problems().first)
    #expect(problem.subject == folder.path(missing) && problem.reason.contains("is missing"))
    #expect(try folder.text(left) == before)
  }

  @Test func theKeyOfAnotherAuthorityIsRefused() throws {
    let other = TemporaryInstallation()
    try folder.prepare()
    try other.prepare()
    try folder.write(other.text("tls/ca.key"), to: "tls/ca.key")
    let problem = try #require(folder.problems().first)
    #expect(problem.subject == folder.path("tls/ca.key") && problem.reason.contains("not its key"))
  }

  @Test func aLostEncryptionKeyIsNotMadeAgain() throws {
    try folder.prepare()
    let lines = try folder.text("storeplane.env").split(separator: "\n")
      .filter { !$0.hasPrefix("PLATFORM_ENCRYPTION_KEY") }.joined(separator: "\n")
    try folder.write(lines + "\n", to: "storeplane.env")
    let problem = try #require(folder.problems().first)
    #expect(problem.reason == "has lost PLATFORM_ENCRYPTION_KEY")
    #expect(problem.remedy.contains("backup"))
    #expect(try folder.text("storeplane.env") == lines + "\n")
  }

  @Test func aLoginWithoutPasswordIsRefused() throws {
    try folder.prepare()
    try folder.write("username: admin\npassword: \n", to: "admin-login")
    let problem = try #require(folder.problems().first)
    #expect(problem.reason == "has no line `password: …`")
  }

  @Test func everythingThatIsWrongIsSaidAtOnce() throws {
    try folder.prepare()
    chmod(folder.path("admin-login"), 0o640)
    try folder.write("x", to: "keys/token-signing-key.pem")
    try folder.remove("tls/ca.key")
    let subjects = Set(folder.problems().map(\.subject))
    #expect(
      subjects
        == Set(["admin-login", "keys/token-signing-key.pem", "tls/ca.key"].map(folder.path)))
  }

  @Test func aFolderInThePlaceOfAFileIsRefused() throws {
    mkdir(folder.installation.folder, 0o711)
    mkdir(folder.path("storeplane.env"), 0o700)
    #expect(folder.problems().first?.reason == "is not a regular file")
  }

  @Test func aFileInThePlaceOfTheFolderIsRefused() throws {
    let other = TemporaryInstallation()
    mkdir(other.installation.folder, 0o711)
    try other.write("", to: "state")
    let preparation = Preparation(
      Installation(folder: other.path("state")), environment: [:], now: 0)
    let error = #expect(throws: SetupError.self) { try preparation.run() }
    #expect(error?.problems.first?.reason.contains("cannot be made a folder") == true)
  }

  // MARK: storeplane.env

  @Test(arguments: [
    ("LOG_LEVEL", "has no ="), ("export LOG_LEVEL=debug", "does not begin with the name"),
    ("log_level=debug", "does not begin with the name"),
    ("LOG_LEVEL =debug", "does not begin with the name"),
    ("LOG_LEVEL=\"debug\"", "has its value in quotes"),
    ("LOG_LEVEL='debug'", "has its value in quotes"),
  ])
  func aWrongLineIsNamed(line: String, reason: String) throws {
    try folder.prepare()
    let count = try folder.text("storeplane.env").split(
      separator: "\n", omittingEmptySubsequences: false
    ).count
    try folder.append(line)
    let problem = try #require(folder.complaints().first)
    #expect(problem.subject == "\(folder.path("storeplane.env")):\(count)")
    #expect(problem.reason.hasPrefix(reason))
  }

  @Test func allWrongLinesAreNamedAtOnce() throws {
    try folder.prepare()
    try folder.append("nonsense", "LOG_LEVEL=info", "LOG_LEVEL=debug", "'x'=1")
    #expect(folder.complaints().count == 3)
  }

  @Test func blanksAndLineEndsOfOtherSystemsAreNoPart() throws {
    try folder.prepare()
    try folder.append("  LOG_LEVEL=debug \t\r", "STORE_DOMAIN_SUFFIX=.shops.example.com\r")
    let variables = try InstallationSettings(folder.installation).environment(of: .provisioner)
      .variables
    #expect(variables["LOG_LEVEL"] == "debug")
    #expect(variables["STORE_DOMAIN_SUFFIX"] == ".shops.example.com")
  }

  @Test func whatNoServiceTakesIsNamed() throws {
    try folder.prepare()
    try folder.append("LOG_LEVLE=debug", "DATABASE_URL=postgresql://x@y/z")
    let reasons = Dictionary(
      folder.complaints().map { (String($0.subject.split(separator: " ").last ?? ""), $0.reason) },
      uniquingKeysWith: { first, _ in first })
    #expect(reasons["LOG_LEVLE"] == "is not a setting")
    #expect(reasons["DATABASE_URL"] == "is another for each service")
  }

  @Test func wrongValuesAreNamedByTheirLines() throws {
    try folder.prepare()
    try folder.append("LOG_LEVEL=loud", "CONFIG_DATABASE_CONNECTIONS=0")
    let complaints = folder.complaints()
    let lines = try folder.text("storeplane.env").split(
      separator: "\n", omittingEmptySubsequences: false)
    for (line, name) in [
      ("LOG_LEVEL=loud", "LOG_LEVEL"), ("CONFIG_DATABASE_CONNECTIONS=0", "DATABASE_CONNECTIONS"),
    ] {
      let number = try #require(lines.firstIndex { $0 == line }) + 1
      let found = complaints.filter {
        $0.subject == "\(folder.path("storeplane.env")):\(number): \(name)"
      }
      #expect(found.count == 1, "\(line)")
    }
  }

  @Test func aValueOfSeveralLinesIsRefusedFromTheEnvironment() throws {
    let problem = try #require(
      folder.problems(environment: ["TOKEN_SIGNING_KEY": "-----BEGIN\nx\n"]).first)
    #expect(problem.subject == "TOKEN_SIGNING_KEY")
    #expect(problem.remedy.contains("TOKEN_SIGNING_KEY_FILE"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("storeplane.env")))
  }
}
