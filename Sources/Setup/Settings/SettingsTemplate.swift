import Configuration

/// The first `storeplane.env`: every setting with what it is for, and the values that it begins with.
enum SettingsTemplate {
  static func file(at path: String, values: [String: String]) -> String {
    var lines = [
      "# The settings of this Storeplane. They are yours to change: run scripts/up again afterwards.",
      "# It holds keys, so keep its mode 0600, and keep a copy of it elsewhere: without",
      "# \(PlatformSettings.platformEncryptionKey.key) the secrets in the database cannot be read.",
      "#",
      "# NAME=VALUE, without quotes. A service's name before a setting gives it to that service alone:",
      "# AUDIT_LOG_LEVEL=debug. A secret can be in a file of its own: NAME_FILE=PATH.",
    ]
    var rest = values
    for entry in Vocabulary.entries {
      lines += ["", comment(entry)]
      let names =
        Vocabulary.perService.contains(entry.declaration.key)
        ? entry.services.map { Vocabulary.prefixed($0, entry.declaration.key) }
        : [entry.declaration.key]
      for name in names {
        if let value = rest.removeValue(forKey: name) {
          lines.append("\(name)=\(value)")
        } else {
          lines.append("#\(name)=\(example(entry.declaration))")
        }
      }
    }
    if !rest.isEmpty {
      lines += [""] + rest.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func comment(_ entry: Vocabulary.Entry) -> String {
    let who =
      entry.services.count == PlatformService.allCases.count
      ? "" : " (\(entry.services.map(\.rawValue).joined(separator: ", ")))"
    return "# \(entry.declaration.summary)\(who)"
  }

  /// The default; never something that looks like a secret.
  private static func example(_ declaration: SettingDeclaration) -> String {
    if case .defaulted(let text) = declaration.requirement { return text }
    return declaration.isSecret ? "" : declaration.example
  }
}
