import ServiceRuntime

/// The id of a tenant, which `TenantIDRule` allows.
struct TenantID: Hashable, Sendable {
  let text: String

  /// - Parameter field: where in the request it stands.
  init(_ text: String, field: String = "tenant") throws(ConfigError) {
    guard TenantIDRule.allows(text) else {
      throw .invalid(
        field: field, description: text.isEmpty ? "it is missing" : TenantIDRule.text)
    }
    self.text = text
  }

  /// Whose secrets are the platform's own; no text that a request names becomes it by `init`.
  static let platform = TenantID()

  private init() { text = PlatformTenant.id }
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
  fileprivate var isNameCharacter: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "."):
      true
    default: false
    }
  }
}
