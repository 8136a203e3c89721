/// What one service can be told.
package struct ConfigurationSchema: Sendable {
  package static let settingsMaximum = 200

  package let service: String
  package let settings: [AnySetting]
  package let rules: [ConfigurationRule]
  /// Settings of other services, by key, with who takes them: one file can serve them all.
  package let takenElsewhere: [String: [String]]

  package init(
    service: String, settings: [AnySetting], rules: [ConfigurationRule] = [],
    takenElsewhere: [String: [String]] = [:]
  ) {
    precondition(settings.count <= Self.settingsMaximum, "at most \(Self.settingsMaximum) settings")
    var names: Set<String> = []
    for declaration in settings.map(\.declaration) {
      var own = [declaration.key]
      if declaration.isSecret { own.append(declaration.pathKey) }
      for name in own {
        precondition(names.insert(name).inserted, "\(service): \(name) is declared twice")
      }
    }
    self.service = service
    self.settings = settings
    self.rules = rules
    self.takenElsewhere = takenElsewhere
  }
}

/// What must hold between settings.
package enum ConfigurationRule: Sendable {
  /// All are given, or none.
  case together([String], because: String)

  /// - Parameter given: the keys that have a value of their own, a wrong one included.
  func problem(given: Set<String>) -> ConfigurationProblem? {
    switch self {
    case .together(let keys, let reason):
      let missing = keys.filter { !given.contains($0) }
      let present = keys.filter { given.contains($0) }
      guard let first = missing.first, !present.isEmpty else { return nil }
      return ConfigurationProblem(
        key: first, origin: .absent,
        reason: "is not given, but \(present.joined(separator: " and ")) is: \(reason)",
        remedy: "give \(missing.joined(separator: " and ")) too, or none of them")
    }
  }
}
