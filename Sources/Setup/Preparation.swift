import Configuration
import Cryptography
import Glibc

/// Makes what an installation lacks: the settings file with its keys, the certificates, the
/// administrator's login. Nothing that is there is changed; it can be broken off and run again.
package struct Preparation {
  /// The lowest of the services' ports; the admin ports are a hundred above.
  package static let portBases = 1024...65_000
  package static let adminPortOffset = 100

  private let installation: Installation
  private let environment: [String: String]
  private let now: Int64

  /// - Parameter now: seconds since 1970.
  package init(_ installation: Installation, environment: [String: String], now: Int64) {
    self.installation = installation
    self.environment = environment
    self.now = now
  }

  /// What was done, for a person to read.
  package struct Outcome: Sendable {
    package var isFirst = false
    package var notes: [String] = []
  }

  /// Whether there are settings already, so that nobody needs to be asked.
  package var hasSettings: Bool { access(installation.settingsFile, F_OK) == 0 }

  /// - Parameters:
  ///   - choices: settings for the first file, by name.
  ///   - portBase: the ports of the first file; nil for the usual ones.
  /// - Throws: every problem at once.
  package func run(choices: [String: String] = [:], portBase: Int? = nil) throws(SetupError)
    -> Outcome
  {
    var outcome = Outcome()
    outcome.isFirst = !hasSettings
    var problems = ProblemCollector()
    if let problem = folderProblem() { problems.add(problem) }
    try problems.check()
    let settings = try self.settings(choices, portBase, &outcome)
    let key = problems.attempt { () throws(SetupProblem) in try signingKey(settings) }
    let renewed = problems.attempt { () throws(SetupProblem) in
      try InstallationCertificates(installation: installation, now: now).prepare()
    }
    _ = problems.attempt { () throws(SetupProblem) in try InstallationKeys.login(installation) }
    try problems.check()
    if let key = key.flatMap({ $0 }) {
      _ = problems.attempt { () throws(SetupProblem) in
        try InstallationKeys.publish(key.publicKey, installation)
      }
    }
    if let renewed, !renewed.isEmpty {
      outcome.notes.append("certificates made for \(renewed.joined(separator: ", "))")
    }
    try problems.check()
    return outcome
  }

  private func folderProblem() -> SetupProblem? {
    do throws(SetupProblem) {
      try ProtectedFile.makeFolder(installation.folder, mode: 0o711)
      return nil
    } catch {
      return error
    }
  }

  // MARK: storeplane.env

  private func settings(
    _ choices: [String: String], _ portBase: Int?, _ outcome: inout Outcome
  ) throws(SetupError) -> SettingsFile {
    let path = installation.settingsFile
    if let present = try InstallationSettings.read(path) {
      try checkKeys(present)
      outcome.notes += differences(present, portBase)
      return present
    }
    var values = try given()
    values.merge(choices) { _, chosen in chosen }
    for (name, port) in ports(portBase) where values[name] == nil { values[name] = port }
    let key = PlatformSettings.platformEncryptionKey.key
    if values[key] == nil, values[key + "_FILE"] == nil {
      values[key] = InstallationKeys.hexadecimalKey()
    }
    let text = SettingsTemplate.file(at: path, values: values)
    let file = try SettingsFile.parse(text, path: path)
    var problems = ProblemCollector()
    _ = problems.attempt { () throws(SetupProblem) in
      try ProtectedFile.create(path, text, mode: ProtectedFile.secretMode)
    }
    try problems.check()
    return file
  }

  /// A key is made with the file and never later: where it is gone, the database may be encrypted
  /// with it.
  private func checkKeys(_ file: SettingsFile) throws(SetupError) {
    let key = PlatformSettings.platformEncryptionKey.key
    let names = [key, key + "_FILE"].flatMap { [$0, Vocabulary.prefixed(.config, $0)] }
    if names.contains(where: { file.values[$0] != nil }) { return }
    throw SetupError(problems: [
      SetupProblem(
        subject: file.path, reason: "has lost \(key)",
        remedy:
          "put it back from a backup, since the secrets in the database cannot be read without; "
          + "or begin anew with scripts/down --purge")
    ])
  }

  /// Settings of this process's environment, for the first file.
  private func given() throws(SetupError) -> [String: String] {
    var problems = ProblemCollector()
    var values: [String: String] = [:]
    for (name, value) in environment.sorted(by: { $0.key < $1.key })
    where Vocabulary.names.contains(name) && !Self.isPerService(name) && !value.isEmpty {
      if value.contains(where: \.isNewline) {
        problems.add(
          SetupProblem(
            subject: name, reason: "has several lines, which a settings file cannot hold",
            remedy: "put it into a file of mode 0600 and give \(name)_FILE"))
      }
      values[name] = value
    }
    try problems.check()
    return values
  }

  private static func isPerService(_ name: String) -> Bool {
    Vocabulary.perService.contains(name)
      || name.hasSuffix("_FILE") && Vocabulary.perService.contains(String(name.dropLast(5)))
  }

  private func ports(_ base: Int?) -> [(name: String, address: String)] {
    var addresses: [(String, String)] = []
    for (index, service) in PlatformService.allCases.enumerated() {
      let keys = [PlatformSettings.listenAddress.key, PlatformSettings.adminAddress.key]
      for (offset, key) in zip([0, Self.adminPortOffset], keys) {
        let usual = service.schema.settings.first { $0.declaration.key == key }
        var address: String?
        if case .defaulted(let text) = usual?.declaration.requirement { address = text }
        if let base { address = "127.0.0.1:\(base + index + offset)" }
        if let address { addresses.append((Vocabulary.prefixed(service, key), address)) }
      }
    }
    return addresses
  }

  /// What was asked for and is not done, as the file is the person's own.
  private func differences(_ file: SettingsFile, _ portBase: Int?) -> [String] {
    var others = environment.keys.filter { name in
      Vocabulary.names.contains(name) && !Self.isPerService(name)
        && environment[name] != "" && environment[name] != file.values[name]
    }
    if let portBase {
      others += ports(portBase).filter { file.values[$0.name] != $0.address }.map(\.name)
    }
    if others.isEmpty { return [] }
    return [
      "\(others.sorted().joined(separator: ", ")): not taken over, as \(file.path) exists; change it there"
    ]
  }

  // MARK: Keys

  /// The key whose public half verifies the gateway's caller tokens; nil where the person brings it.
  private func signingKey(_ file: SettingsFile) throws(SetupProblem) -> P256PrivateKey? {
    let sources = SettingsSources(installation, files: [file])
    let declaration = PlatformSettings.tokenSigningKey.declaration
    let values = sources.values(of: declaration, for: .gateway)
    if let path = values[declaration.key + "_FILE"], path != installation.signingKeyFile {
      return try InstallationKeys.privateKey(path)
    }
    if let pem = values[declaration.key] {
      return try? P256PrivateKey(pem: SecretBytes(copying: pem.utf8))
    }
    return try InstallationKeys.signingKey(installation)
  }
}
