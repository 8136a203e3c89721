import COpenSSL

/// The cost of one scrypt run (RFC 7914): 128 × N × r bytes of memory, p times over.
package struct PasswordHashParameters: Equatable, Sendable {
  /// N = 2^15, r = 8, p = 1: 32 MiB.
  package static let recommended = PasswordHashParameters(
    costExponent: 15, blockSize: 8, parallelism: 1)

  /// N = 2^costExponent.
  package let costExponent: Int
  package let blockSize: Int
  package let parallelism: Int

  package init(costExponent: Int, blockSize: Int, parallelism: Int) {
    self.costExponent = costExponent
    self.blockSize = blockSize
    self.parallelism = parallelism
  }

  package var memoryBytes: Int { 128 * blockSize << costExponent }
}

/// Password hashes by scrypt, as text: `$scrypt$ln=15,r=8,p=1$SALT$HASH`, salt and hash in
/// unpadded base64.
///
/// `hash` and `verify` take tens of milliseconds and the parameters' memory: call them on a pool
/// for blocking work. A password is its UTF-8 bytes as given; callers that want it normalised do so
/// first.
package enum PasswordHash {
  package static let passwordLengthMax = 1024
  package static let saltLength = 16
  package static let hashLength = 32

  /// A stored hash says what it costs to check, and may not say more than this.
  package static let textLengthMax = 256
  package static let costExponentMax = 17
  package static let blockSizeMax = 16
  package static let parallelismMax = 4
  package static let memoryBytesMax = 64 << 20
  package static let saltLengthRange = 8...64

  package static func hash(
    _ password: String, parameters: PasswordHashParameters = .recommended
  ) throws(PasswordHashError) -> String {
    try check(password)
    try check(parameters)
    let salt = SecureRandom.bytes(saltLength)
    return PasswordHashText(
      parameters: parameters, salt: salt,
      hash: derive(password, salt: salt, parameters: parameters, length: hashLength)
    ).encoded
  }

  /// Whether `password` is the one `stored` was made of. Throws if `stored` is no hash of ours.
  package static func verify(
    _ password: String, against stored: String
  ) throws(PasswordHashError) -> Bool {
    try check(password)
    let stored = try PasswordHashText(parsing: stored)
    let candidate = derive(
      password, salt: stored.salt, parameters: stored.parameters, length: stored.hash.count)
    return ConstantTime.equal(candidate, stored.hash)
  }

  /// Whether `stored` was made with other parameters than would be used now.
  package static func needsRehash(
    _ stored: String, parameters: PasswordHashParameters = .recommended
  ) throws(PasswordHashError) -> Bool {
    let stored = try PasswordHashText(parsing: stored)
    return stored.parameters != parameters || stored.salt.count < saltLength
  }

  /// A hash of no password. Verifying against it when there is no such user takes as long as when
  /// there is one, so that the time does not tell.
  package static func decoy(
    parameters: PasswordHashParameters = .recommended
  ) throws(PasswordHashError) -> String {
    try check(parameters)
    return PasswordHashText(
      parameters: parameters, salt: SecureRandom.bytes(saltLength),
      hash: SecureRandom.bytes(hashLength)
    ).encoded
  }

  /// The length that a user's new password must have is a policy of the caller's.
  private static func check(_ password: String) throws(PasswordHashError) {
    guard password.utf8.count <= passwordLengthMax else {
      throw .passwordTooLong(length: password.utf8.count, maximum: passwordLengthMax)
    }
  }

  static func check(_ parameters: PasswordHashParameters) throws(PasswordHashError) {
    try check(parameters.costExponent, in: 1...costExponentMax, named: "ln")
    try check(parameters.blockSize, in: 1...blockSizeMax, named: "r")
    try check(parameters.parallelism, in: 1...parallelismMax, named: "p")
    guard parameters.memoryBytes <= memoryBytesMax else {
      throw .tooMuchMemory(bytes: parameters.memoryBytes, maximum: memoryBytesMax)
    }
  }

  private static func check(
    _ value: Int, in range: ClosedRange<Int>, named name: String
  ) throws(PasswordHashError) {
    guard range.contains(value) else {
      throw .parameterOutOfRange(name: name, value: value, allowed: range)
    }
  }

  /// scrypt itself; the parameters are within bounds.
  static func derive(
    _ password: String, salt: [UInt8], parameters: PasswordHashParameters, length: Int
  ) -> [UInt8] {
    let context = OpenSSL.require(EVP_KDF_CTX_new(OpenSSL.scrypt), "EVP_KDF_CTX_new")
    defer { EVP_KDF_CTX_free(context) }
    // Beside its table scrypt holds one block a lane and two to work in.
    let memory = UInt64(
      parameters.memoryBytes + 128 * parameters.blockSize * (parameters.parallelism + 2))
    let secret = SecretBytes(copying: password.utf8)
    return [UInt8](unsafeUninitializedCapacity: length) { output, filled in
      secret.withUnsafeBytes { secret in
        OpenSSL.require(
          storeplane_scrypt(
            context, secret.baseAddress, secret.count, salt, salt.count,
            1 << UInt64(parameters.costExponent), UInt32(parameters.blockSize),
            UInt32(parameters.parallelism), memory, output.baseAddress, length),
          "EVP_KDF_derive")
      }
      filled = length
    }
  }
}

package enum PasswordHashError: Error, Equatable, CustomStringConvertible {
  case passwordTooLong(length: Int, maximum: Int)
  case parameterOutOfRange(name: String, value: Int, allowed: ClosedRange<Int>)
  case tooMuchMemory(bytes: Int, maximum: Int)
  case malformedHash(String)

  package var description: String {
    switch self {
    case .passwordTooLong(let length, let maximum):
      "the password has \(length) bytes; at most \(maximum) are allowed"
    case .parameterOutOfRange(let name, let value, let allowed):
      "scrypt parameter \(name) is \(value); \(allowed.lowerBound) to \(allowed.upperBound) are "
        + "allowed"
    case .tooMuchMemory(let bytes, let maximum):
      "scrypt would take \(bytes) bytes of memory; at most \(maximum) are allowed"
    case .malformedHash(let reason): "not a scrypt password hash: \(reason)"
    }
  }
}
