package import Configuration

/// The list of all settings, for people and for tests that compare others' lists with it.
package enum VariableList {
  package enum Form: Sendable {
    /// A paragraph each.
    case text
    /// A line each: the name, and `required` or `optional`.
    case needs
  }

  /// - Parameter service: only what this one takes.
  package static func render(_ form: Form, service: PlatformService?) -> String {
    let entries = Vocabulary.entries.filter { entry in
      service.map { entry.services.contains($0) } ?? true
    }
    switch form {
    case .needs:
      return entries.map { entry in
        let isRequired = entry.declaration.requirement == .required
        return "\(entry.declaration.key) \(isRequired ? "required" : "optional")\n"
      }.joined()
    case .text:
      return entries.map(paragraph).joined(separator: "\n")
    }
  }

  private static func paragraph(_ entry: Vocabulary.Entry) -> String {
    let declaration = entry.declaration
    let provision = Provision(of: declaration.key)
    let need =
      switch declaration.requirement {
      case .required: "required"
      case .optional: "optional"
      case .defaulted(let text): "default \(text.isEmpty ? "empty" : text)"
      }
    let services = entry.services.map(\.rawValue).joined(separator: ", ")
    let file = declaration.isSecret ? ", or \(declaration.key)_FILE" : ""
    return """
      \(declaration.key)\(file)
          \(declaration.summary)
          \(need); taken by \(services); \(text(provision))

      """
  }

  private static func text(_ provision: Provision) -> String {
    switch provision {
    case .generated: "set-up generates it once"
    case .database:
      "set-up makes it, one for each service, from a DATABASE_URL with the right to create roles"
    case .derived: "set-up derives it unless it is given"
    case .asked: "set-up asks for it, and has a default"
    case .found: "scripts/up finds it unless it is given"
    case .given: "only if you give it"
    }
  }
}
