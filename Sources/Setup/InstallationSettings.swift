package import Configuration

/// The settings of an installation as they are on disk.
package struct InstallationSettings: Sendable {
  package let installation: Installation
  private(set) var file: SettingsFile
  private let machine: SettingsFile?

  /// - Throws: what is wrong with the files themselves, all at once.
  package init(_ installation: Installation) throws(SetupError) {
    guard let file = try Self.read(installation.settingsFile) else {
      throw SetupError(problems: [
        SetupProblem(
          subject: installation.settingsFile, reason: "is not there",
          remedy: "run scripts/up, or storeplane-setup prepare")
      ])
    }
    self.installation = installation
    self.file = file
    machine = try Self.read(installation.machineFile)
  }

  static func read(_ path: String) throws(SetupError) -> SettingsFile? {
    var problems = ProblemCollector()
    let text = problems.attempt { () throws(SetupProblem) in
      try ProtectedFile.read(path, isSecret: true)
    }
    try problems.check()
    guard let text, let text else { return nil }
    return try SettingsFile.parse(text, path: path)
  }

  private var sources: SettingsSources {
    SettingsSources(installation, files: [file] + (machine.map { [$0] } ?? []))
  }

  package func environment(
    of service: PlatformService, role: ServiceEnvironment.Role = .service
  ) -> ServiceEnvironment {
    ServiceEnvironment(service, role: role, sources: sources)
  }

  /// Checks everything by the rules of the services that will read it.
  ///
  /// - Throws: every problem of every service.
  package func check(_ services: [PlatformService] = PlatformService.allCases) throws(SetupError) {
    var problems = ProblemCollector()
    for problem in unknownNames() { problems.add(problem) }
    var seen: Set<SetupProblem> = []
    for service in services {
      for problem in environment(of: service).problems() {
        let found = SetupProblem(
          subject: "\(place(of: problem.key, for: service)): \(problem.key)",
          reason: problem.reason, remedy: problem.remedy)
        // One line that several services read is one problem.
        if seen.insert(found).inserted { problems.add(found) }
      }
    }
    try problems.check()
  }

  private func unknownNames() -> [SetupProblem] {
    file.values.keys.filter { !Vocabulary.names.contains($0) }.sorted().map { name in
      SetupProblem(
        subject: "\(file.place(of: name)): \(name)", reason: "is not a setting",
        remedy: "take it out; `storeplane-setup variables` lists them all")
    }
      + file.values.keys.filter { Vocabulary.perService.contains($0) }.sorted().map { name in
        SetupProblem(
          subject: "\(file.place(of: name)): \(name)", reason: "is another for each service",
          remedy: "give \(Vocabulary.prefixed(.gateway, name)) and the others'")
      }
  }

  private func place(of key: String, for service: PlatformService) -> String {
    for name in [key, key + "_FILE"].flatMap({ [Vocabulary.prefixed(service, $0), $0] })
    where file.values[name] != nil {
      return file.place(of: name)
    }
    return "\(file.path) (\(service.rawValue))"
  }

  // MARK: The databases

  /// How a service logs in, as far as the file says.
  package func databaseURLs(of service: PlatformService) -> [String: String] {
    var urls: [String: String] = [:]
    for key in Self.databaseKeys {
      urls[key] = file.values[Vocabulary.prefixed(service, key)]
    }
    return urls
  }

  static let databaseKeys = [
    PlatformSettings.databaseOwnerURL.key, PlatformSettings.databaseURL.key,
    PlatformSettings.databaseWorkerURL.key,
  ]

  /// Keeps a service's URLs in the settings file.
  package mutating func keep(
    _ urls: [String: String], for service: PlatformService
  ) throws(SetupError) {
    if databaseURLs(of: service) == urls { return }
    for (key, url) in urls.sorted(by: { $0.key < $1.key }) {
      file.set(Vocabulary.prefixed(service, key), url)
    }
    var problems = ProblemCollector()
    _ = problems.attempt { () throws(SetupProblem) in
      try ProtectedFile.replace(file.path, file.text, mode: ProtectedFile.secretMode)
    }
    try problems.check()
  }
}
