/// A key that encrypts data keys and nothing else, with the version that rotation counts up.
package struct KeyEncryptionKey: Sendable {
  package let version: UInt32
  private let keys: SealingKeys

  package init(version: UInt32, key: PlatformEncryptionKey) {
    self.version = version
    keys = SealingKeys(from: key.bytes, purpose: "data-key")
  }

  /// A new data key for `tenant`, and its wrapped form to be stored.
  package func generateDataKey(tenant: String) -> (key: DataKey, wrapped: WrappedDataKey) {
    let key = DataKey(
      identifier: .generate(), kekVersion: version,
      bytes: SecureRandom.secretBytes(AESGCM.keyLength))
    return (key, wrap(key, tenant: tenant))
  }

  /// Wraps `key` under this key-encryption key, whichever it was under before.
  package func wrap(_ key: DataKey, tenant: String) -> WrappedDataKey {
    let box = SealedBox.seal(
      key.bytes, kind: .wrappedDataKey,
      header: .init(kekVersion: version, dataKey: key.identifier), keys: keys,
      associatedData: Self.associatedData(tenant: tenant))
    guard let wrapped = try? WrappedDataKey(bytes: box) else {
      preconditionFailure("a data key just wrapped has the layout of one")
    }
    return wrapped
  }

  package func unwrap(
    _ wrapped: WrappedDataKey, tenant: String
  ) throws(SecretError) -> DataKey {
    guard wrapped.kekVersion == version else {
      throw .unknownKeyVersion(found: wrapped.kekVersion, known: [version])
    }
    let bytes = try SealedBox.open(
      wrapped.bytes, kind: .wrappedDataKey,
      header: .init(kekVersion: version, dataKey: wrapped.identifier), keys: keys,
      associatedData: Self.associatedData(tenant: tenant))
    return DataKey(identifier: wrapped.identifier, kekVersion: version, bytes: bytes)
  }

  private static func associatedData(tenant: String) -> [UInt8] {
    var data: [UInt8] = []
    data.appendLengthPrefixed(tenant)
    return data
  }
}

/// The key-encryption keys a process was given: the current one wraps, the earlier ones unwrap.
package struct KeyEncryptionKeyRing: Sendable {
  package static let keyCountMax = 16

  package let current: KeyEncryptionKey
  private let keys: [UInt32: KeyEncryptionKey]

  package init(
    current: KeyEncryptionKey, previous: [KeyEncryptionKey] = []
  ) throws(KeyEncryptionKeyRingError) {
    guard previous.count < Self.keyCountMax else {
      throw .tooManyKeys(count: previous.count + 1, maximum: Self.keyCountMax)
    }
    var keys = [current.version: current]
    for key in previous {
      guard key.version < current.version else {
        throw .notEarlier(version: key.version, current: current.version)
      }
      guard keys.updateValue(key, forKey: key.version) == nil else {
        throw .repeatedVersion(key.version)
      }
    }
    self.current = current
    self.keys = keys
  }

  package func unwrap(
    _ wrapped: WrappedDataKey, tenant: String
  ) throws(SecretError) -> DataKey {
    guard let key = keys[wrapped.kekVersion] else {
      throw .unknownKeyVersion(found: wrapped.kekVersion, known: keys.keys.sorted())
    }
    return try key.unwrap(wrapped, tenant: tenant)
  }

  /// The same data key under the current key-encryption key, or nil if it is there already.
  package func rewrap(
    _ wrapped: WrappedDataKey, tenant: String
  ) throws(SecretError) -> WrappedDataKey? {
    guard wrapped.kekVersion != current.version else { return nil }
    return current.wrap(try unwrap(wrapped, tenant: tenant), tenant: tenant)
  }
}

package enum KeyEncryptionKeyRingError: Error, Equatable, CustomStringConvertible {
  case tooManyKeys(count: Int, maximum: Int)
  case notEarlier(version: UInt32, current: UInt32)
  case repeatedVersion(UInt32)

  package var description: String {
    switch self {
    case .tooManyKeys(let count, let maximum):
      "\(count) key-encryption keys, where at most \(maximum) are allowed; rewrap the data keys "
        + "and drop the oldest"
    case .notEarlier(let version, let current):
      "key-encryption key version \(version) is given as an earlier one than the current \(current)"
    case .repeatedVersion(let version):
      "key-encryption key version \(version) is given more than once"
    }
  }
}
