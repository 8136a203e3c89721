import Glibc

/// Finds each setting's text, checks it, and gathers what is wrong.
struct ConfigurationLoader {
  static let secretFileBytesMaximum = 64 * 1024

  let schema: ConfigurationSchema
  let environment: [String: String]
  private var fileValues: [String: (text: String, origin: Origin)] = [:]
  /// Keys whose line in the file is wrong already: not reported as missing as well.
  private var spoiltKeys: Set<String> = []
  private var problems: [ConfigurationProblem] = []
  private var warnings: [ConfigurationProblem] = []

  init(schema: ConfigurationSchema, environment: [String: String]) {
    self.schema = schema
    self.environment = environment.filter { !$0.value.isEmpty }
  }

  mutating func load(filePath: String?) throws(ConfigurationError) -> Configuration {
    if let path = filePath ?? environment[Configuration.fileVariable] {
      readFile(path)
    }
    warnOfUnknownVariables()
    var values: [String: any Sendable] = [:]
    var origins: [String: Origin] = [:]
    var given: Set<String> = []
    for setting in schema.settings {
      let key = setting.declaration.key
      if let (text, origin) = source(of: setting.declaration) {
        given.insert(key)
        origins[key] = origin
        values[key] = parsed(setting, text, origin)
        if setting.declaration.isUnused { warnOfNoUse(key, origin) }
      } else if spoiltKeys.contains(key) {
        given.insert(key)
      } else if let absent = setting.absent {
        values[key] = absent
        if case .defaulted = setting.declaration.requirement { origins[key] = .builtInDefault }
      } else {
        reportMissing(setting.declaration)
      }
    }
    problems += schema.rules.compactMap { $0.problem(given: given) }
    guard problems.isEmpty else {
      throw ConfigurationError(service: schema.service, problems: problems)
    }
    return Configuration(schema: schema, values: values, origins: origins, warnings: warnings)
  }

  // MARK: One setting

  private mutating func parsed(
    _ setting: AnySetting, _ text: String, _ origin: Origin
  ) -> (any Sendable)? {
    do throws(Rejection) {
      return try setting.parse(text)
    } catch {
      report(setting.declaration.key, origin, error.reason, error.remedy)
      return nil
    }
  }

  /// The text of a setting and where it is from: environment before file, and for a secret the value or
  /// the file that holds it, but not both from the same place.
  private mutating func source(
    of declaration: SettingDeclaration
  ) -> (text: String, origin: Origin)? {
    let inEnvironment: (String) -> (text: String, origin: Origin)? = { [environment] key in
      environment[key].map { ($0, .environment(variable: key)) }
    }
    let inFile: (String) -> (text: String, origin: Origin)? = { [fileValues] key in fileValues[key]
    }
    for place in [inEnvironment, inFile] {
      let value = place(declaration.key)
      let path = declaration.isSecret ? place(declaration.pathKey) : nil
      if let value, path != nil {
        spoiltKeys.insert(declaration.key)
        report(
          declaration.key, value.origin, "is given, and \(declaration.pathKey) is too",
          "give one of the two")
        return nil
      }
      if let value { return value }
      if let path { return secret(of: declaration, at: path) }
    }
    return nil
  }

  private mutating func secret(
    of declaration: SettingDeclaration, at path: (text: String, origin: Origin)
  ) -> (text: String, origin: Origin)? {
    let origin = Origin.secretFile(path: path.text, named: path.origin)
    spoiltKeys.insert(declaration.key)
    do throws(BoundedFile.Failure) {
      let (text, mode) = try BoundedFile.read(
        path.text, bytesMaximum: Self.secretFileBytesMaximum)
      warnOfMode(mode, declaration.pathKey, origin)
      let trimmed = text.drop { $0.isNewline }
        .reversed().drop { $0.isNewline }.reversed()
      if trimmed.isEmpty {
        report(declaration.pathKey, origin, "names an empty file", "put the secret into it")
        return nil
      }
      return (String(trimmed), origin)
    } catch {
      report(
        declaration.pathKey, path.origin, "names \(Shown.text(path.text)), which \(error.reason)",
        error.remedy)
      return nil
    }
  }

  private mutating func warnOfMode(_ mode: mode_t, _ key: String, _ origin: Origin) {
    guard mode & 0o077 != 0 else { return }
    warnings.append(
      ConfigurationProblem(
        key: key, origin: origin,
        reason: "names a file that others than its owner may use (mode \(String(mode, radix: 8)))",
        remedy: "chmod 600 it; for a Kubernetes Secret volume set defaultMode: 0400"))
  }

  private mutating func warnOfNoUse(_ key: String, _ origin: Origin) {
    warnings.append(
      ConfigurationProblem(
        key: key, origin: origin, reason: "is given, but nothing uses it yet",
        remedy: "take it out, or leave it for a later version"))
  }

  private mutating func reportMissing(_ declaration: SettingDeclaration) {
    let secretly = declaration.isSecret ? ", or \(declaration.pathKey) with the path of a file" : ""
    var remedy =
      "set \(declaration.key)\(secretly): \(declaration.summary) Example: \(declaration.example)"
    let known = Set(schema.settings.map(\.declaration.key))
    let strangers = environment.keys.filter { !known.contains($0) }
    if let guess = Spelling.nearest(to: declaration.key, among: strangers) {
      remedy += ". \(guess) is set: is that a slip?"
    }
    report(declaration.key, .absent, "is required and not given", remedy)
  }

  private mutating func report(
    _ key: String, _ origin: Origin, _ reason: String, _ remedy: String
  ) {
    problems.append(
      ConfigurationProblem(key: key, origin: origin, reason: reason, remedy: remedy))
  }

  // MARK: The file

  private mutating func readFile(_ path: String) {
    do throws(ConfigurationFile.Unreadable) {
      let file = try ConfigurationFile.read(path: path)
      for entry in file.entries { take(entry, path: path) }
    } catch {
      report(
        "", .file(path: path, line: error.line), "The configuration file \(error.reason)",
        error.remedy)
    }
  }

  private mutating func take(_ entry: ConfigurationFile.Entry, path: String) {
    let origin = Origin.file(path: path, line: entry.line)
    guard let (declaration, isPath) = declaration(forFileKey: entry.key) else {
      return reportUnknown(entry.key, origin)
    }
    guard let declaration else { return }
    let name = isPath ? declaration.pathKey : declaration.key
    switch entry.value {
    case .scalar(let text):
      fileValues[name] = (text, origin)
    case .sequence(let texts) where declaration.isList && !isPath:
      if let comma = texts.first(where: { $0.contains(",") }) {
        spoiltKeys.insert(declaration.key)
        report(name, origin, "has the value \(Shown.text(comma))", "give values without commas")
      } else {
        fileValues[name] = (texts.joined(separator: ","), origin)
      }
    case .nothing:
      spoiltKeys.insert(declaration.key)
      report(name, origin, "has no value", "give one, or take the line out")
    case .sequence, .mapping:
      spoiltKeys.insert(declaration.key)
      report(
        name, origin, "is not a single value",
        "give one \(declaration.kind): \(declaration.example)")
    }
  }

  /// nil: nobody's key. An inner nil: another service's.
  private func declaration(
    forFileKey key: String
  ) -> (declaration: SettingDeclaration?, isPath: Bool)? {
    for declaration in schema.settings.map(\.declaration) {
      if key == declaration.fileKey { return (declaration, false) }
      if declaration.isSecret, key == declaration.pathKey.lowercased() {
        return (declaration, true)
      }
    }
    let isElsewhere = schema.takenElsewhere.keys.contains { other in
      key == other.lowercased() || key == other.lowercased() + "_file"
    }
    return isElsewhere ? (nil, false) : nil
  }

  private mutating func reportUnknown(_ key: String, _ origin: Origin) {
    let candidates =
      schema.settings.map(\.declaration.fileKey)
      + schema.takenElsewhere.keys.map { $0.lowercased() }
    let remedy: String
    if candidates.contains(key.lowercased()) {
      remedy = "write it in lower case: \(key.lowercased())"
    } else if let guess = Spelling.nearest(to: key, among: candidates) {
      remedy = "did you mean \(guess)?"
    } else {
      remedy = "take it out; \(schema.service) --help lists the settings"
    }
    report(Shown.text(key), origin, "is not a setting", remedy)
  }

  // MARK: The environment

  /// The environment is full of other programs' variables; only our own prefix can be judged.
  private mutating func warnOfUnknownVariables() {
    let prefix = "STOREPLANE_"
    let known =
      schema.settings.flatMap { [$0.declaration.key, $0.declaration.pathKey] }
      + schema.takenElsewhere.keys.flatMap { [$0, $0 + "_FILE"] } + [Configuration.fileVariable]
    for name in environment.keys.sorted()
    where name.hasPrefix(prefix) && !known.contains(name) && !Self.isServiceLink(name) {
      let guess = Spelling.nearest(to: name, among: known + known.map { prefix + $0 })
      warnings.append(
        ConfigurationProblem(
          key: name, origin: .environment(variable: name), reason: "is not a setting",
          remedy: guess.map { "did you mean \($0.replacingPrefix(prefix, among: known))?" }
            ?? "unset it; \(schema.service) --help lists the settings"))
    }
  }

  /// Kubernetes gives every container such variables for each Service of its namespace, and ours are
  /// named storeplane-….
  private static func isServiceLink(_ name: String) -> Bool {
    name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.hasSuffix("_PORT")
      || name.firstRange(of: /_PORT_[0-9]+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?$/) != nil
  }
}

extension String {
  /// Without the prefix, if that is what is known.
  fileprivate func replacingPrefix(_ prefix: String, among known: [String]) -> String {
    let short = String(dropFirst(prefix.count))
    return hasPrefix(prefix) && known.contains(short) ? short : self
  }
}
