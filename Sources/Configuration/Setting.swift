/// One thing a service can be told: its name in the environment, its kind and rules, and what is so
/// without it. A configuration gives its value by the setting, with its type.
package struct Setting<Value: Sendable>: Sendable {
  package let declaration: SettingDeclaration
  let parse: @Sendable (String) throws(Rejection) -> Value
  let absent: Value?

  package var key: String { declaration.key }
}

/// A setting without its type: what help, documentation and validation need.
package struct SettingDeclaration: Sendable {
  package enum Requirement: Sendable, Hashable {
    case required
    case optional
    /// The default as it would be written.
    case defaulted(String)
  }

  /// The environment variable; in a file the same in lower case.
  package let key: String
  /// The kind in words: `duration`, `integer`.
  package let kind: String
  /// What is allowed beyond the kind: `1 to 64`, `json or human`; empty if nothing more.
  package let allowed: String
  package let requirement: Requirement
  package let summary: String
  package let example: String
  /// Its value is not shown, and can be given as `KEY_FILE`.
  package let isSecret: Bool
  /// A file may give a sequence.
  let isList: Bool
  /// Nothing takes notice of it yet: whoever gives it is warned.
  package var isUnused = false

  var fileKey: String { key.lowercased() }
  /// The variable that names a file with the secret.
  var pathKey: String { key + "_FILE" }
}

/// Why a text is not a value of a setting, and what would be one.
struct Rejection: Error, Equatable {
  let reason: String
  let remedy: String
}

/// A setting whose type is left out, for lists of settings.
package struct AnySetting: Sendable {
  package let declaration: SettingDeclaration
  let parse: @Sendable (String) throws(Rejection) -> any Sendable
  /// nil when it is required.
  let absent: (any Sendable)?

  package init<Value>(_ setting: Setting<Value>) {
    declaration = setting.declaration
    let parse = setting.parse
    self.parse = { (text: String) throws(Rejection) -> any Sendable in try parse(text) }
    absent = setting.absent
  }
}

extension Setting {
  /// The shape all the kinds are made in.
  /// - Precondition: a default passes the setting's own rules.
  static func make(
    _ key: String, kind: String, allowed: String = "", default fallback: String? = nil,
    _ summary: String, example: String, isSecret: Bool = false, isList: Bool = false,
    parse: @escaping @Sendable (String) throws(Rejection) -> Value
  ) -> Setting<Value> {
    precondition(isKey(key), "\(key) is not a setting's name: [A-Z][A-Z0-9_]*")
    var absent: Value?
    if let fallback {
      do throws(Rejection) {
        absent = try parse(fallback)
      } catch {
        preconditionFailure("the default of \(key) breaks its own rules: \(error.reason)")
      }
    }
    let declaration = SettingDeclaration(
      key: key, kind: kind, allowed: allowed,
      requirement: fallback.map { .defaulted($0) } ?? .required, summary: summary,
      example: example, isSecret: isSecret, isList: isList)
    return Setting(declaration: declaration, parse: parse, absent: absent)
  }

  /// The same setting, nil when it is not given.
  package var optional: Setting<Value?> {
    let parse = parse
    return Setting<Value?>(
      declaration: declaration.with(.optional),
      parse: { (text: String) throws(Rejection) -> Value? in try parse(text) }, absent: .some(nil))
  }

  /// The same setting, of which nothing takes notice yet: its name is kept for what is to come.
  package var unused: Setting<Value> {
    var declaration = declaration
    declaration.isUnused = true
    return Setting(declaration: declaration, parse: parse, absent: absent)
  }

  /// The same setting with a default of its own, for a service that differs from the others.
  package func defaulting(to text: String) -> Setting<Value> {
    Self.make(
      key, kind: declaration.kind, allowed: declaration.allowed, default: text,
      declaration.summary, example: declaration.example, isSecret: declaration.isSecret,
      isList: declaration.isList, parse: parse)
  }

  private static func isKey(_ key: String) -> Bool {
    guard let first = key.utf8.first, (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first)
    else { return false }
    return key.utf8.allSatisfy {
      (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "_")
    }
  }
}

extension SettingDeclaration {
  func with(_ requirement: Requirement) -> SettingDeclaration {
    SettingDeclaration(
      key: key, kind: kind, allowed: allowed, requirement: requirement, summary: summary,
      example: example, isSecret: isSecret, isList: isList, isUnused: isUnused)
  }
}
