import Foundation
import HTTP
import Reactor
import Testing

/// The server over TLS, where ALPN chooses the protocol.
@Suite(.serialized) struct HTTPServerTLSTests {
  @Test(arguments: [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")])
  func choosesTheProtocolByALPN(option: String, version: String) async throws {
    let certificate = try TestCertificate()
    let server = try await TestServer(tls: certificate.server())
    let result = try CommandResult.run([
      "curl", "-sS", "--max-time", "20", option, "--cacert", certificate.certificateFile,
      "https://localhost:\(server.port)/head",
    ])
    #expect(result.output == "\(version)|GET|localhost:\(server.port)|/head|-|-|tls")
  }

  @Test func servesHTTP1ToAClientWithoutALPN() async throws {
    let certificate = try TestCertificate()
    let server = try await TestServer(tls: certificate.server())
    let result = try CommandResult.run([
      "curl", "-sS", "--max-time", "20", "--no-alpn", "--cacert", certificate.certificateFile,
      "https://localhost:\(server.port)/head",
    ])
    #expect(result.output.hasPrefix("HTTP/1.1|"))
  }

  /// Reading stops and goes on again and again, with bytes waiting inside the TLS session.
  @Test(arguments: ["--http1.1", "--http2"]) func echoesALargeBody(option: String) async throws {
    let certificate = try TestCertificate()
    var limits = HTTPServerLimits()
    limits.bodyBytesMax = 1 << 30
    let server = try await TestServer(limits, tls: certificate.server())
    var body = Data()
    for piece in 0..<40 { body.append(Data(repeating: UInt8(piece), count: 250_001)) }
    let sent = certificate.folder.appendingPathComponent("sent")
    let back = certificate.folder.appendingPathComponent("back")
    try body.write(to: sent)
    let result = try CommandResult.run([
      "curl", "-sS", "--max-time", "20", option, "--cacert", certificate.certificateFile, "-X",
      "POST", "-T", sent.path, "-o", back.path, "https://localhost:\(server.port)/echo",
    ])
    #expect(result.status == 0)
    #expect(try Data(contentsOf: back) == body)
  }

  @Test func takesNewCertificates() async throws {
    let (old, new) = (try TestCertificate(), try TestCertificate())
    let server = try await TestServer(tls: old.server())
    let context = try new.server()
    await server.with { $0.replaceTLS(with: context) }
    let result = try CommandResult.run([
      "curl", "-sS", "--max-time", "20", "--cacert", new.certificateFile,
      "https://localhost:\(server.port)/hello",
    ])
    #expect(result.output == "hello")
  }
}
