/// A credential that a store needs, and how to make one up.
struct CredentialSpecification: Equatable, Sendable {
  static let lengthDefault = 32
  static let lengths = 16...256

  enum Format: Sendable {
    case alphanumeric
    case hexadecimal

    fileprivate var alphabet: [UInt8] {
      switch self {
      case .alphanumeric:
        Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
      case .hexadecimal: Array("0123456789abcdef".utf8)
      }
    }
  }

  let name: SecretName
  let format: Format
  let length: Int

  /// - Parameters:
  ///   - length: in characters; 0 for the default.
  ///   - field: where in the request it stands.
  init(name: SecretName, format: Format, length: Int, field: String) throws(ConfigError) {
    guard length == 0 || Self.lengths.contains(length) else {
      throw .invalid(
        field: "\(field).length",
        description: "\(length) characters; ask for 16 to 256, or 0 for the default of 32")
    }
    self.name = name
    self.format = format
    self.length = length == 0 ? Self.lengthDefault : length
  }

  /// A new value, each character as likely as any other.
  ///
  /// - Parameter random: that many random bytes that nobody else knows.
  func generate(random: (Int) -> [UInt8]) -> [UInt8] {
    let alphabet = format.alphabet
    // A byte past the last whole multiple would favour the first characters.
    let limit = 256 / alphabet.count * alphabet.count
    var value: [UInt8] = []
    while value.count < length {
      for byte in random(length - value.count) where Int(byte) < limit {
        value.append(alphabet[Int(byte) % alphabet.count])
      }
    }
    return value
  }
}

extension [CredentialSpecification] {
  /// Refuses none, too many, and a name asked for twice.
  func checked(field: String = "credentials") throws(ConfigError) -> [CredentialSpecification] {
    guard !isEmpty else { throw .invalid(field: field, description: "ask for at least one") }
    guard count <= ConfigLimits.credentialSpecsMax else {
      throw .invalid(
        field: field,
        description: "\(count) credentials; at most \(ConfigLimits.credentialSpecsMax) in a call")
    }
    var names: Set<SecretName> = []
    for (index, specification) in enumerated() where !names.insert(specification.name).inserted {
      throw .invalid(field: "\(field)[\(index)].name", description: "it is asked for twice")
    }
    return self
  }
}
