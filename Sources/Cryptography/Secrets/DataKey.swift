/// The name of a data key: 16 bytes, written as a UUID.
package struct DataKeyIdentifier: Hashable, Sendable, CustomStringConvertible {
  package static let length = 16

  package let bytes: [UInt8]

  init(_ bytes: some Collection<UInt8>) {
    precondition(bytes.count == Self.length)
    self.bytes = [UInt8](bytes)
  }

  package init?(bytes: [UInt8]) {
    guard bytes.count == Self.length else { return nil }
    self.bytes = bytes
  }

  /// A random UUID (RFC 9562, version 4).
  package static func generate() -> DataKeyIdentifier {
    var bytes = SecureRandom.bytes(length)
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    return DataKeyIdentifier(bytes)
  }

  package var description: String {
    [bytes[0..<4], bytes[4..<6], bytes[6..<8], bytes[8..<10], bytes[10..<16]]
      .map(Hexadecimal.encode).joined(separator: "-")
  }
}

/// The key that seals one tenant's secrets. It leaves the process only wrapped.
package struct DataKey: Sendable {
  package let identifier: DataKeyIdentifier
  /// The version of the key-encryption key that wraps it now. Envelopes carry the one of their
  /// time; rewrapping the data key leaves them readable.
  package let kekVersion: UInt32

  let bytes: SecretBytes
  let keys: SealingKeys

  init(identifier: DataKeyIdentifier, kekVersion: UInt32, bytes: SecretBytes) {
    self.identifier = identifier
    self.kekVersion = kekVersion
    self.bytes = bytes
    keys = SealingKeys(from: bytes, purpose: "secret")
  }
}

extension DataKey: CustomStringConvertible, CustomReflectable {
  package var description: String { "<data key \(identifier)>" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A data key as the database keeps it: sealed under a key-encryption key and bound to its tenant.
package struct WrappedDataKey: Equatable, Sendable {
  package static let length = SealedBox.overhead + AESGCM.keyLength

  package let bytes: [UInt8]
  package let identifier: DataKeyIdentifier
  package let kekVersion: UInt32

  /// Reads what `bytes` of an earlier value holds. Whether it is whole shows when it is unwrapped.
  package init(bytes: [UInt8]) throws(SecretError) {
    let header = try SealedBox.header(of: bytes, kind: .wrappedDataKey)
    guard bytes.count >= Self.length else {
      throw .truncated(length: bytes.count, minimum: Self.length)
    }
    guard bytes.count == Self.length else {
      throw .tooLong(length: bytes.count, maximum: Self.length)
    }
    self.bytes = bytes
    identifier = header.dataKey
    kekVersion = header.kekVersion
  }
}
