import JSON

extension JSON {
  /// A member of an object, or null.
  subscript(_ key: String) -> JSON { object?[key] ?? .null }

  /// The text, or none where there is no text.
  var text: String { string ?? "" }

  /// A number, also where the JSON form of protobuf makes it a string.
  var integer: Int64 { int64 ?? string.flatMap { Int64($0) } ?? 0 }
}

/// The contract's names of enum values, such as `STATE_READY`, as people read and write them.
enum EnumName {
  static func short(_ name: String, _ prefix: String) -> String {
    guard name.hasPrefix(prefix + "_") else { return name.lowercased() }
    return name.dropFirst(prefix.count + 1).lowercased().replacing("_", with: " ")
  }

  static func long(_ name: String, _ prefix: String) -> String {
    prefix + "_" + name.uppercased().replacing("-", with: "_")
  }

  static func style(ofState state: String) -> TextStyle? {
    switch state {
    case "ready", "succeeded", "available": .green
    case "failed": .red
    case "waiting", "deleting", "cancelled": .yellow
    case "provisioning", "running", "requested", "pending", "creating": .cyan
    case "deleted", "skipped": .dim
    default: nil
    }
  }
}
