import Configuration
import Cryptography
import Glibc

/// The certificates of an installation: an authority of its own, and one certificate a service and
/// one for people's tools, made before they are missed.
struct InstallationCertificates {
  /// A certificate with less time left is made anew.
  static let renewalSeconds: Int64 = 30 * 86_400
  static let toolsName = "operator"

  let installation: Installation
  /// Seconds since 1970.
  let now: Int64

  static var names: [String] { PlatformService.allCases.map(\.rawValue) + [toolsName] }

  /// Makes what is missing or near its end.
  ///
  /// - Returns: the names whose certificates are new.
  func prepare() throws(SetupProblem) -> [String] {
    var status = stat()
    if stat(installation.certificatesFolder, &status) != 0 && errno == ENOENT {
      try makeAll()
      return Self.names
    }
    let authority = try presentAuthority()
    var renewed: [String] = []
    for name in Self.names {
      if try isGood(name, authority: authority.certificate) { continue }
      let folder = installation.certificatesFolder
      let leaf = try issue(name, authority)
      // A key without its certificate, should this be broken off between the two, counts as none.
      try ProtectedFile.replace(
        "\(folder)/\(name).key", leaf.privateKey.pem().copyText() ?? "",
        mode: ProtectedFile.secretMode)
      try ProtectedFile.replace(
        "\(folder)/\(name).crt", leaf.certificate.pem(), mode: ProtectedFile.publicMode)
      renewed.append(name)
    }
    return renewed
  }

  // MARK: The first time

  /// The whole folder, and only then under its name: an authority is never there by half.
  private func makeAll() throws(SetupProblem) {
    let folder = installation.certificatesFolder
    let draft = folder + ".new"
    try removeDraft(draft)
    try ProtectedFile.makeFolder(draft, mode: 0o700)
    let authority = try refused { () throws(CertificateAuthorityError) in
      try DevelopmentCertificateAuthority.create(commonName: "Storeplane", now: now)
    }
    var files = [
      ("ca.key", authority.privateKey.pem().copyText() ?? "", ProtectedFile.secretMode),
      ("ca.crt", authority.certificate.pem(), ProtectedFile.publicMode),
    ]
    for name in Self.names {
      let leaf = try issue(name, authority)
      files += [
        ("\(name).key", leaf.privateKey.pem().copyText() ?? "", ProtectedFile.secretMode),
        ("\(name).crt", leaf.certificate.pem(), ProtectedFile.publicMode),
      ]
    }
    for (name, text, mode) in files {
      try ProtectedFile.create("\(draft)/\(name)", text, mode: mode)
    }
    guard rename(draft, folder) == 0 else {
      throw ProtectedFile.failure(folder, "cannot be made", "check the folder above it")
    }
    ProtectedFile.synchronize(folderOf: folder)
  }

  /// What a run that was broken off has left.
  private func removeDraft(_ draft: String) throws(SetupProblem) {
    guard let entries = opendir(draft) else { return }
    defer { closedir(entries) }
    while let entry = readdir(entries) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { unlink("\(draft)/\(name)") }
    }
    guard rmdir(draft) == 0 else {
      throw ProtectedFile.failure(draft, "cannot be removed", "remove it by hand")
    }
  }

  // MARK: Later

  private func presentAuthority() throws(SetupProblem) -> DevelopmentCertificateAuthority {
    let remedy =
      "restore it from a backup; or remove \(installation.certificatesFolder), and all certificates are made anew"
    guard let pem = try ProtectedFile.read(installation.authorityFile, isSecret: false) else {
      throw SetupProblem(
        subject: installation.authorityFile, reason: "is missing beside the others", remedy: remedy)
    }
    let keyFile = installation.authorityKeyFile
    guard let key = try InstallationKeys.privateKey(keyFile) else {
      throw SetupProblem(
        subject: keyFile, reason: "is missing beside the others", remedy: remedy)
    }
    let certificate: Certificate
    do throws(CertificateError) {
      certificate = try Certificate(pem: pem)
    } catch {
      throw SetupProblem(
        subject: installation.authorityFile, reason: "is damaged: \(error)", remedy: remedy)
    }
    guard certificate.notAfter > now + Self.renewalSeconds else {
      throw SetupProblem(
        subject: installation.authorityFile, reason: "ends in less than 30 days",
        remedy:
          "remove \(installation.certificatesFolder) and run this again: all certificates are made anew"
      )
    }
    do throws(CertificateAuthorityError) {
      return try DevelopmentCertificateAuthority(certificate: certificate, privateKey: key)
    } catch {
      throw SetupProblem(subject: keyFile, reason: "is not its key: \(error)", remedy: remedy)
    }
  }

  /// Whether a certificate is there, of this authority, for this name, with its key and time left.
  private func isGood(_ name: String, authority: Certificate) throws(SetupProblem) -> Bool {
    guard
      let pem = try ProtectedFile.read(installation.certificateFile(of: name), isSecret: false),
      let key = try InstallationKeys.privateKey(installation.keyFile(of: name)),
      let certificate = try? Certificate(pem: pem)
    else { return false }
    return certificate.isSigned(by: authority) && certificate.belongs(to: key)
      && certificate.notAfter > now + Self.renewalSeconds && certificate.notBefore <= now
      && certificate.spiffeIdentity?.description == "spiffe://storeplane/\(name)"
  }

  private func issue(
    _ name: String, _ authority: DevelopmentCertificateAuthority
  ) throws(SetupProblem) -> DevelopmentCertificateAuthority.Leaf {
    guard
      let request = try? DevelopmentCertificateAuthority.LeafRequest(
        service: name, dnsNames: ["localhost", name], addresses: ["127.0.0.1", "::1"])
    else { preconditionFailure("\(name) is a segment of a SPIFFE path") }
    return try refused { () throws(CertificateAuthorityError) in
      try authority.issue(request, now: now)
    }
  }

  private func refused<Value>(
    _ body: () throws(CertificateAuthorityError) -> Value
  ) throws(SetupProblem) -> Value {
    do throws(CertificateAuthorityError) {
      return try body()
    } catch {
      throw SetupProblem(
        subject: installation.certificatesFolder, reason: "cannot have certificates: \(error)",
        remedy: "check this machine's clock")
    }
  }
}
