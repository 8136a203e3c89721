import Foundation
import Reactor

/// A certificate for `localhost` and 127.0.0.1 that is its own authority, made by openssl.
final class TestCertificate: Sendable {
  struct Failure: Error {}

  let folder: URL
  var certificateFile: String { folder.appendingPathComponent("cert.pem").path }
  var keyFile: String { folder.appendingPathComponent("key.pem").path }

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let made = try CommandResult.run([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
      "-keyout", keyFile, "-out", certificateFile, "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    ])
    if made.status != 0 { throw Failure() }
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func server(_ protocols: [String] = ["h2", "http/1.1"]) throws -> TLSContext {
    try TLSContext.server(
      TLSConfiguration(
        certificateFile: certificateFile, keyFile: keyFile, applicationProtocols: protocols))
  }

  func client(_ protocols: [String] = ["h2", "http/1.1"]) throws -> TLSContext {
    try TLSContext.client(
      TLSConfiguration(authoritiesFile: certificateFile, applicationProtocols: protocols))
  }
}
