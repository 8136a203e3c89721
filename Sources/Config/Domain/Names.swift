/// The id of a tenant: 1 to 40 lower-case letters, digits and inner hyphens, a letter first.
struct TenantID: Hashable, Sendable {
  static let lengthMax = 40

  let text: String

  /// - Parameter field: where in the request it stands.
  init(_ text: String, field: String = "tenant") throws(ConfigError) {
    let bytes = text.utf8
    let isGood =
      (1...Self.lengthMax).contains(bytes.count) && bytes.allSatisfy { $0.isTenantCharacter }
      && bytes.first.map { $0.isLowercaseLetter } ?? false && bytes.last != UInt8(ascii: "-")
    guard isGood else {
      throw .invalid(
        field: field,
        description: bytes.isEmpty
          ? "it is missing"
          : "use 1 to 40 lower-case letters, digits and inner hyphens, a letter first")
    }
    self.text = text
  }
}

/// The name of a secret or of a credential: 1 to 128 letters, digits, `_`, `-` and `.`, but neither
/// `.` nor `..`, which paths and mounted files give another meaning.
struct SecretName: Hashable, Sendable {
  static let lengthMax = 128

  let text: String

  init(_ text: String, field: String = "name") throws(ConfigError) {
    try Self.check(text, field: field)
    self.text = text
  }

  fileprivate static func check(_ text: String, field: String) throws(ConfigError) {
    let bytes = text.utf8
    let isGood =
      (1...Self.lengthMax).contains(bytes.count) && bytes.allSatisfy { $0.isNameCharacter }
      && text != "." && text != ".."
    guard isGood else {
      throw .invalid(
        field: field,
        description: bytes.isEmpty
          ? "it is missing"
          : "use 1 to 128 letters, digits, '_', '-' and '.', but not '.' or '..' alone")
    }
  }
}

/// The id of a store, of the same letters as a secret's name.
struct StoreID: Hashable, Sendable {
  let text: String

  init(_ text: String, field: String = "store") throws(ConfigError) {
    try SecretName.check(text, field: field)
    self.text = text
  }
}

/// The name by which people know a tenant: up to 200 bytes without control characters.
struct DisplayName: Hashable, Sendable {
  static let bytesMax = 200

  let text: String

  /// An empty text stands for the id.
  init(_ text: String, of tenant: TenantID, field: String = "display_name") throws(ConfigError) {
    guard text.utf8.count <= Self.bytesMax else {
      throw .invalid(
        field: field, description: "\(text.utf8.count) bytes, where at most 200 are allowed")
    }
    let hasControl = text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    guard !hasControl else {
      throw .invalid(field: field, description: "control characters are not allowed")
    }
    self.text = text.isEmpty ? tenant.text : text
  }
}

extension UInt8 {
  fileprivate var isLowercaseLetter: Bool { (0x61...0x7A).contains(self) }
  fileprivate var isDigit: Bool { (0x30...0x39).contains(self) }

  fileprivate var isTenantCharacter: Bool {
    isLowercaseLetter || isDigit || self == UInt8(ascii: "-")
  }

  fileprivate var isNameCharacter: Bool {
    isTenantCharacter || (0x41...0x5A).contains(self) || self == UInt8(ascii: "_")
      || self == UInt8(ascii: ".")
  }
}
