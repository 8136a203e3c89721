/// The form of `google.protobuf.FieldMask`: paths in lowerCamelCase, joined by commas.
enum FieldMaskText {
  /// Far above any message's number of fields.
  static let pathsMax = 1_000

  /// Nil where a path has other than letters, digits, "_" and ".", or there are too many. Names as
  /// in the contract, with "_", are accepted too.
  static func read(_ text: String) -> [String]? {
    if text.isEmpty { return [] }
    var paths: [String] = []
    for path in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard !path.isEmpty, path.allSatisfy(isAllowed), paths.count < pathsMax else { return nil }
      var name: [UInt8] = []
      for byte in path {
        if isUpper(byte) { name.append(UInt8(ascii: "_")) }
        name.append(isUpper(byte) ? byte | 0x20 : byte)
      }
      paths.append(String(decoding: name, as: UTF8.self))
    }
    return paths
  }

  /// Nil where a path would not come back the same.
  static func write(_ paths: [String]) -> String? {
    var text: [UInt8] = []
    for path in paths {
      if !text.isEmpty { text.append(UInt8(ascii: ",")) }
      var isAfterUnderscore = false
      for byte in path.utf8 {
        guard isAllowed(byte), !isUpper(byte) else { return nil }
        if isAfterUnderscore {
          guard byte &- UInt8(ascii: "a") < 26 else { return nil }
          text.append(byte & ~0x20)
          isAfterUnderscore = false
        } else if byte == UInt8(ascii: "_") {
          isAfterUnderscore = true
        } else {
          text.append(byte)
        }
      }
      guard !path.isEmpty, !isAfterUnderscore else { return nil }
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func isUpper(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "A") < 26 }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    isUpper(byte) || byte &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
      || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
  }
}
