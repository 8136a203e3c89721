import JSON

/// Where a value stands in a tree: keys between dots. A key with other characters than letters,
/// digits, `_` and `-` stands in backquotes.
struct SettingPath: Equatable, Sendable {
  let keys: [String]

  init(keys: [String]) { self.keys = keys }

  init(_ text: String) throws(CommandFailure) {
    var keys: [String] = []
    var rest = text[...]
    repeat {
      let key: Substring
      if rest.first == "`" {
        rest.removeFirst()
        guard let end = rest.firstIndex(of: "`") else { throw Self.wrong(text) }
        key = rest[..<end]
        rest = rest[rest.index(after: end)...]
        guard rest.isEmpty || rest.first == "." else { throw Self.wrong(text) }
      } else {
        key = rest.prefix { $0 != "." }
        rest = rest.dropFirst(key.count)
        guard !key.contains("`") else { throw Self.wrong(text) }
      }
      guard !key.isEmpty else { throw Self.wrong(text) }
      keys.append(String(key))
      if rest.first == ".", rest.count == 1 { throw Self.wrong(text) }
    } while rest.popFirst() != nil
    self.keys = keys
  }

  private static func wrong(_ text: String) -> CommandFailure {
    .usage(
      "'\(text)' is no path: write it like features.checkout, with keys of other characters than "
        + "letters, digits, _ and - in backquotes")
  }

  /// As it is read again.
  var text: String {
    keys.map { key in
      let isPlain = key.allSatisfy {
        $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "_" || $0 == "-"
      }
      return isPlain && !key.isEmpty ? key : "`\(key)`"
    }.joined(separator: ".")
  }

  /// What stands there; nil where nothing does.
  func value(in tree: JSON) -> JSON? {
    keys.reduce(tree as JSON?) { value, key in value?.object?[key] }
  }
}

/// `path=value` in an argument.
struct SettingChange: Equatable, Sendable {
  let path: SettingPath
  let value: JSON

  init(path: SettingPath, value: JSON) {
    self.path = path
    self.value = value
  }

  /// The value is JSON where it is any, else a text.
  init(_ argument: String) throws(CommandFailure) {
    var isQuoted = false
    let end = argument.firstIndex { character in
      if character == "`" { isQuoted.toggle() }
      return character == "=" && !isQuoted
    }
    guard let end else {
      throw .usage("'\(argument)' has no value: write it like features.checkout=true")
    }
    path = try SettingPath(String(argument[..<end]))
    let text = String(argument[argument.index(after: end)...])
    value = (try? JSON(parsing: text)) ?? .string(text)
  }

  /// One tree with what each argument sets.
  static func tree(ofArguments arguments: [String]) throws(CommandFailure) -> JSONObject {
    try tree(of: arguments.map { text throws(CommandFailure) in try SettingChange(text) })
  }

  /// One tree with all the changes in it.
  static func tree(of changes: [SettingChange]) throws(CommandFailure) -> JSONObject {
    var tree = JSONObject()
    for change in changes { try put(change.value, at: change.path, 0, in: &tree) }
    return tree
  }

  private static func put(
    _ value: JSON, at path: SettingPath, _ depth: Int, in object: inout JSONObject
  ) throws(CommandFailure) {
    let key = path.keys[depth]
    if depth == path.keys.count - 1 {
      guard object[key] == nil else {
        throw .usage("'\(path.text)' is set more than once")
      }
      object[key] = value
      return
    }
    var inner = JSONObject()
    switch object[key] {
    case .object(let found): inner = found
    case nil: break
    case .some: throw .usage("'\(path.text)' leads through a value that is set as well")
    }
    try put(value, at: path, depth + 1, in: &inner)
    object[key] = .object(inner)
  }
}

extension JSON {
  /// The values at the ends of a tree, with their paths, in the tree's order.
  var leaves: [SettingChange] {
    func walk(_ value: JSON, _ keys: [String]) -> [SettingChange] {
      guard case .object(let object) = value, !object.isEmpty else {
        return [SettingChange(path: SettingPath(keys: keys), value: value)]
      }
      return object.members.flatMap { walk($0.value, keys + [$0.key]) }
    }
    if let object, object.isEmpty { return [] }
    return walk(self, [])
  }
}
