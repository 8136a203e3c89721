import Configuration
import Cryptography

/// The keys that an installation makes for itself. One that is there is never written again.
enum InstallationKeys {
  private static let passwordLength = 24

  /// 64 hex digits.
  static func hexadecimalKey() -> String {
    SecureRandom.secretBytes(32).withUnsafeBytes { Hexadecimal.encode($0) }
  }

  /// The key that signs tokens, made if there is none and none was published.
  static func signingKey(_ installation: Installation) throws(SetupProblem) -> P256PrivateKey {
    let path = installation.signingKeyFile
    try ProtectedFile.makeFolder(installation.keysFolder, mode: 0o700)
    if let key = try privateKey(path) { return key }
    let published = installation.callerKeysFile
    if try ProtectedFile.read(published, isSecret: false) != nil {
      throw SetupProblem(
        subject: path, reason: "is missing, while \(published) has its public half",
        remedy:
          "restore it from a backup; or remove \(published), and a new one is made: whoever is "
          + "signed in has to sign in again")
    }
    let key = P256PrivateKey.generate()
    try ProtectedFile.create(
      path, key.pem().copyText() ?? "", mode: ProtectedFile.secretMode)
    return key
  }

  /// A private key from its file; nil where there is none.
  static func privateKey(_ path: String) throws(SetupProblem) -> P256PrivateKey? {
    guard let pem = try ProtectedFile.read(path, isSecret: true) else { return nil }
    do throws(KeyError) {
      return try P256PrivateKey(pem: SecretBytes(copying: pem.utf8))
    } catch {
      throw SetupProblem(
        subject: path, reason: "is no P-256 private key in PEM (\(error))",
        remedy: "restore it from a backup; or remove it, and a new one is made")
    }
  }

  /// Publishes the key that signs caller tokens to the services that verify them.
  static func publish(
    _ key: P256PublicKey, _ installation: Installation
  ) throws(SetupProblem) {
    let path = installation.callerKeysFile
    let text = try ProtectedFile.read(path, isSecret: false)
    // Another set of which it is one, as during a change of keys, stays as it is.
    let present = text.flatMap { try? JSONWebKeySet(parsing: $0) }
    if let present, present.keys.contains(where: { $0.publicKey == key }) { return }
    let keys: JSONWebKeySet
    do throws(JSONWebKeySetError) {
      keys = try JSONWebKeySet([key])
    } catch {
      preconditionFailure("a set of one key is one: \(error)")
    }
    try ProtectedFile.replace(path, keys.encoded + "\n", mode: ProtectedFile.publicMode)
  }

  /// The administrator's name and password, made if there are none.
  static func login(_ installation: Installation) throws(SetupProblem) {
    let path = installation.loginFile
    if let text = try ProtectedFile.read(path, isSecret: true) {
      for name in ["username", "password"] where !text.contains(lineOf: name) {
        throw SetupProblem(
          subject: path, reason: "has no line `\(name): …`",
          remedy: "restore it; or, before the first start, remove it and a new one is made")
      }
      return
    }
    try ProtectedFile.create(
      path, "username: admin\ntenant: main\npassword: \(password())\n",
      mode: ProtectedFile.secretMode)
  }

  /// Letters and digits, each as likely as any other.
  private static func password() -> String {
    let letters = Array("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789".utf8)
    let usable = 256 - 256 % letters.count
    var password: [UInt8] = []
    while password.count < passwordLength {
      let bytes = SecureRandom.secretBytes(2 * passwordLength).copyBytes()
      password += bytes.filter { Int($0) < usable }.map { letters[Int($0) % letters.count] }
    }
    return String(decoding: password.prefix(passwordLength), as: UTF8.self)
  }
}

extension String {
  fileprivate func contains(lineOf name: String) -> Bool {
    split(separator: "\n").contains { $0.hasPrefix("\(name): ") && $0.count > name.count + 2 }
  }
}
