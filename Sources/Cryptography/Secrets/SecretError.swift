/// Why a sealed value was not opened, or a value not sealed. Nothing of the value is repeated.
package enum SecretError: Error, Equatable, CustomStringConvertible {
  /// The bytes do not start as `what` does.
  case notSealed(expected: SealedKind)
  case truncated(length: Int, minimum: Int)
  case tooLong(length: Int, maximum: Int)
  case unsupportedAlgorithm(UInt8)
  /// The data key is wrapped by a key-encryption key that this process was not given.
  case unknownKeyVersion(found: UInt32, known: [UInt32])
  /// The envelope names another data key than the one it was to be opened with.
  case wrongDataKey(found: DataKeyIdentifier, given: DataKeyIdentifier)
  /// The identifiers agree and the key's bytes do not.
  case wrongKey(version: UInt32)
  /// The key is right and the bytes, or what they are bound to, are not those that were sealed.
  case authenticationFailed

  package var description: String {
    switch self {
    case .notSealed(let expected):
      "these bytes are no \(expected.rawValue): they do not start with its magic number"
    case .truncated(let length, let minimum):
      "cut short: \(length) bytes, where the shortest has \(minimum)"
    case .tooLong(let length, let maximum): "\(length) bytes, where at most \(maximum) are allowed"
    case .unsupportedAlgorithm(let algorithm):
      "sealed by algorithm \(algorithm), which this version does not know"
    case .unknownKeyVersion(let found, let known):
      "needs key-encryption key version \(found); the versions given are "
        + known.map(String.init).joined(separator: ", ")
    case .wrongDataKey(let found, let given): "sealed with data key \(found), not \(given)"
    case .wrongKey(let version):
      "the key of version \(version) is another than the one it was sealed with; "
        + "check PLATFORM_ENCRYPTION_KEY"
    case .authenticationFailed:
      "authentication failed: the bytes were changed or cut, or belong to another tenant, name or "
        + "version"
    }
  }
}

package enum SealedKind: String, Sendable {
  case secretEnvelope = "secret envelope"
  case wrappedDataKey = "wrapped data key"
}
