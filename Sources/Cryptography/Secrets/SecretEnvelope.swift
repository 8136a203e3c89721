/// What a secret's envelope is bound to: the row it belongs in. An envelope moved to another row,
/// or an earlier version put back, does not open.
package struct SecretAssociatedData: Equatable, Sendable {
  package let tenant: String
  package let name: String
  package let version: UInt64

  package init(tenant: String, name: String, version: UInt64) {
    self.tenant = tenant
    self.name = name
    self.version = version
  }

  /// Each text with its length before it, then the version: no two rows encode alike.
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.appendLengthPrefixed(tenant)
    bytes.appendLengthPrefixed(name)
    bytes.appendBigEndian(version)
    return bytes
  }
}

/// A tenant's secret, sealed with AES-256-GCM under the tenant's data key. `SealedBox` gives the
/// layout.
package enum SecretEnvelope {
  package static let plaintextLengthMax = 1 << 20
  /// What an envelope adds to its plaintext, in bytes.
  package static let overhead = SealedBox.overhead

  package static func seal(
    plaintext: SecretBytes, with key: DataKey, associatedData: SecretAssociatedData
  ) throws(SecretError) -> [UInt8] {
    guard plaintext.count <= plaintextLengthMax else {
      throw .tooLong(length: plaintext.count, maximum: plaintextLengthMax)
    }
    return SealedBox.seal(
      plaintext, kind: .secretEnvelope,
      header: .init(kekVersion: key.kekVersion, dataKey: key.identifier), keys: key.keys,
      associatedData: associatedData.encoded)
  }

  /// Throws, and returns nothing of the plaintext, unless every byte is as it was sealed.
  package static func open(
    _ envelope: [UInt8], with key: DataKey, associatedData: SecretAssociatedData
  ) throws(SecretError) -> SecretBytes {
    let header = try checkedHeader(of: envelope)
    guard header.dataKey == key.identifier else {
      throw .wrongDataKey(found: header.dataKey, given: key.identifier)
    }
    return try SealedBox.open(
      envelope, kind: .secretEnvelope, header: header, keys: key.keys,
      associatedData: associatedData.encoded)
  }

  /// The data key that `envelope` needs. Only opening it proves that it says the truth.
  package static func dataKeyIdentifier(
    of envelope: [UInt8]
  ) throws(SecretError) -> DataKeyIdentifier {
    try checkedHeader(of: envelope).dataKey
  }

  private static func checkedHeader(
    of envelope: [UInt8]
  ) throws(SecretError) -> SealedBox.Header {
    let header = try SealedBox.header(of: envelope, kind: .secretEnvelope)
    let maximum = plaintextLengthMax + overhead
    guard envelope.count <= maximum else {
      throw .tooLong(length: envelope.count, maximum: maximum)
    }
    return header
  }
}
