/// The settings of a service as text: for `--help` and for the documentation.
extension ConfigurationSchema {
  /// For a terminal: a paragraph a setting.
  package func helpText() -> String {
    var text = """
      Usage: \(service) [migrate] [--config FILE]

        migrate        bring the schema up to date with DATABASE_OWNER_URL, and exit
        --config FILE  a YAML file of settings, keys in lower case; \(Configuration.fileVariable) names one too
        --help         print this
        --check        check the configuration and exit

      Settings, from the environment or from the file; the environment wins. A secret can be given as
      KEY_FILE as well: the path of a file that holds it.

      """
    for declaration in settings.map(\.declaration) {
      text += """

          \(declaration.key)  \(declaration.kindText); \(declaration.requirementText)
              \(declaration.summary)
              Example: \(declaration.example)

        """
    }
    return text
  }

  /// For docs/configuration.md: a table.
  package func markdownTable() -> String {
    var lines = [
      "| setting | kind | default | meaning | example |", "|---|---|---|---|---|",
    ]
    for declaration in settings.map(\.declaration) {
      let cells = [
        "`\(declaration.key)`" + (declaration.isSecret ? " (or `\(declaration.pathKey)`)" : ""),
        declaration.kindText, declaration.defaultCell, declaration.summary,
        "`\(declaration.example)`",
      ]
      lines.append("| " + cells.map(Self.escaped).joined(separator: " | ") + " |")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func escaped(_ cell: String) -> String {
    cell.replacing("|", with: "\\|")
  }
}

extension SettingDeclaration {
  fileprivate var kindText: String { allowed.isEmpty ? kind : "\(kind) (\(allowed))" }

  fileprivate var requirementText: String {
    switch requirement {
    case .required: "required"
    case .optional: "optional"
    case .defaulted(let text): "default \(text.isEmpty ? "empty" : text)"
    }
  }

  fileprivate var defaultCell: String {
    switch requirement {
    case .required: "**required**"
    case .optional: "none"
    case .defaulted(let text): text.isEmpty ? "empty" : "`\(text)`"
    }
  }
}
