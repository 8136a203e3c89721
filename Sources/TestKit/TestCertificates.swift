import Cryptography
import Foundation
package import Reactor

/// An authority and certificates of its making, in a folder that goes with the value.
package final class TestCertificates {
  private let folder: URL
  private let authority: DevelopmentCertificateAuthority
  private let now: Int64

  package init() throws {
    now = Int64(Date().timeIntervalSince1970)
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-certificates-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    // A day old, so that certificates can have expired already.
    authority = try DevelopmentCertificateAuthority.create(
      commonName: "test", now: now - 86_400)
    try authority.certificate.pem().write(
      to: folder.appendingPathComponent("ca.crt"), atomically: true, encoding: .utf8)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  package var authorityFile: String { folder.appendingPathComponent("ca.crt").path }

  /// What a service presents: its certificate and key, valid for `lifetimeSeconds` from `age` seconds
  /// ago.
  package func files(
    for service: String, at addresses: [String] = ["127.0.0.1"], age: Int64 = 0,
    lifetimeSeconds: Int64 = 3600
  ) throws -> (certificate: String, key: String) {
    let request = try DevelopmentCertificateAuthority.LeafRequest(
      service: service, dnsNames: ["localhost"], addresses: addresses)
    let leaf = try authority.issue(request, now: now - age, lifetimeSeconds: lifetimeSeconds)
    let name = "\(service)-\(UUID().uuidString)"
    let certificate = folder.appendingPathComponent("\(name).crt")
    let key = folder.appendingPathComponent("\(name).key")
    try leaf.certificate.pem().write(to: certificate, atomically: true, encoding: .utf8)
    try Data(leaf.privateKey.pem().copyBytes()).write(to: key)
    return (certificate.path, key.path)
  }

  /// A side of a mutual TLS connection as `service`.
  package func configuration(
    for service: String, age: Int64 = 0, lifetimeSeconds: Int64 = 3600,
    protocols: [String] = ["h2"]
  ) throws -> TLSConfiguration {
    let files = try files(for: service, age: age, lifetimeSeconds: lifetimeSeconds)
    return TLSConfiguration(
      certificateFile: files.certificate, keyFile: files.key, authoritiesFile: authorityFile,
      requiresClientCertificate: true, applicationProtocols: protocols)
  }
}
