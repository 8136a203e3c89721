import JSON

/// The settings of a tenant: a tree of the tenant's own making, within limits.
struct SettingsTree: Equatable, Sendable {
  /// Of the compact document.
  static let bytesMax = 256 * 1024
  static let depthMax = 32
  static let keyBytesMax = 256
  static let pathsMax = 100

  fileprivate(set) var root: JSONObject

  static let empty = SettingsTree(root: JSONObject())

  /// The tree that a change leads to, in which `paths` have the values they have in `values`; a path
  /// that is not there is removed.
  ///
  /// Without paths every top-level member of `values` replaces the one of its name.
  func patched(with values: JSONObject, paths: [SettingsPath]) throws(ConfigError) -> SettingsTree {
    var tree = self
    if paths.isEmpty {
      for member in values.members { tree.root[member.key] = member.value }
    }
    for path in paths {
      if path.keys.isEmpty {
        tree.root = values
      } else {
        try Self.set(
          &tree.root, path, depth: 0, to: Self.value(in: .object(values), at: path.keys[...]))
      }
    }
    try tree.check()
    return tree
  }

  private static func value(in tree: JSON, at keys: ArraySlice<String>) -> JSON? {
    guard let key = keys.first else { return tree }
    return tree.object?[key].flatMap { value(in: $0, at: keys.dropFirst()) }
  }

  /// Objects on the way are made where they are missing, and never where something else stands.
  private static func set(
    _ object: inout JSONObject, _ path: SettingsPath, depth: Int, to value: JSON?
  ) throws(ConfigError) {
    let key = path.keys[depth]
    if depth == path.keys.count - 1 {
      object[key] = value
      return
    }
    switch object[key] {
    case .object(var inner):
      try set(&inner, path, depth: depth + 1, to: value)
      object[key] = .object(inner)
    case nil:
      guard value != nil else { return }
      var inner = JSONObject()
      try set(&inner, path, depth: depth + 1, to: value)
      object[key] = .object(inner)
    case .some(let other):
      throw .invalid(
        field: path.field,
        description: "it leads through \(other.kind) that is no object: name that to replace it")
    }
  }

  private func check() throws(ConfigError) {
    try Self.check(.object(root), depth: 1)
    let bytes = JSON.object(root).serialized().count
    guard bytes <= Self.bytesMax else {
      throw Self.invalid("the settings have \(bytes) bytes; at most \(Self.bytesMax) are allowed")
    }
  }

  private static func check(_ value: JSON, depth: Int) throws(ConfigError) {
    guard depth <= depthMax else {
      throw invalid("nested deeper than \(depthMax) levels")
    }
    switch value {
    case .object(let object):
      for member in object.members {
        guard (1...keyBytesMax).contains(member.key.utf8.count), !member.key.utf8.contains(0) else {
          throw invalid("a key has \(member.key.utf8.count) bytes; use 1 to \(keyBytesMax)")
        }
        try check(member.value, depth: depth + 1)
      }
    case .array(let elements):
      for element in elements { try check(element, depth: depth + 1) }
    case .string(let text):
      guard !text.utf8.contains(0) else { throw invalid("a text contains the character NUL") }
    default: break
    }
  }

  private static func invalid(_ description: String) -> ConfigError {
    .invalid(field: "settings.values", description: description)
  }
}

/// What an update changes: `*` for everything, or keys. A key with other characters than letters,
/// digits, `_` and `-` stands in backquotes (AIP-161).
struct SettingsPath: Equatable, Sendable {
  /// None for the whole tree.
  let keys: [String]
  /// Where in the request it stands.
  let field: String

  init(_ text: String, field: String) throws(ConfigError) {
    self.field = field
    if text == "*" {
      keys = []
      return
    }
    var segments = Segments(rest: text[...])
    guard let keys = segments.all() else {
      throw .invalid(
        field: field,
        description: "no path of settings: write it like features.darkMode, with keys of other "
          + "characters than letters, digits, _ and - in backquotes")
    }
    guard keys.count < SettingsTree.depthMax else {
      throw .invalid(field: field, description: "deeper than \(SettingsTree.depthMax) levels")
    }
    self.keys = keys
  }

  private struct Segments {
    var rest: Substring

    /// Nil where the text is no path.
    mutating func all() -> [String]? {
      var segments: [String] = []
      while true {
        guard let segment = next(), !segment.isEmpty else { return nil }
        segments.append(String(segment))
        guard let separator = rest.popFirst() else { return segments }
        guard separator == "." else { return nil }
      }
    }

    private mutating func next() -> Substring? {
      if rest.first == "`" {
        rest.removeFirst()
        guard let end = rest.firstIndex(of: "`") else { return nil }
        defer { rest = rest[rest.index(after: end)...] }
        return rest[..<end]
      }
      let end = rest.firstIndex(of: ".") ?? rest.endIndex
      defer { rest = rest[end...] }
      return rest[..<end].allSatisfy(Self.isPlain) ? rest[..<end] : nil
    }

    private static func isPlain(_ character: Character) -> Bool {
      character.isLetter || character.isNumber || character == "_" || character == "-"
    }
  }
}

extension [SettingsPath] {
  init(_ paths: [String]) throws(ConfigError) {
    guard paths.count <= SettingsTree.pathsMax else {
      throw .invalid(
        field: "paths",
        description: "\(paths.count) paths; at most \(SettingsTree.pathsMax) in a call")
    }
    self = []
    for (index, path) in paths.enumerated() {
      append(try SettingsPath(path, field: "paths[\(index)]"))
    }
  }
}
