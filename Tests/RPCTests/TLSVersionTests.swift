import Contracts
import Foundation
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// What the command `openssl s_client` gets to hear from our listener.
@Suite(.timeLimit(.minutes(1))) struct TLSVersionTests {
  private struct Outcome {
    let status: Int32
    let words: String
  }

  /// A handshake with a server of gRPC, and nothing more.
  private func connect(_ options: [String]) async throws -> Outcome {
    let certificates = try TestCertificates()
    var tls = try certificates.configuration(for: "config")
    tls.requiresClientCertificate = false
    let running = try await RunningServer(tls: tls) { Server(reactor: $0) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments =
      [
        "s_client", "-connect", "127.0.0.1:\(running.port)", "-CAfile", certificates.authorityFile,
        "-verify_return_error",
      ] + options
    let output = Pipe()
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let words = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    withExtendedLifetime((running, certificates)) {}
    return Outcome(
      status: process.terminationStatus, words: String(decoding: words, as: UTF8.self))
  }

  @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
  func presentVersionsAreSpoken(option: String, version: String) async throws {
    let outcome = try await connect([option, "-alpn", "http/1.1,h2"])
    #expect(outcome.status == 0, "\(outcome.words)")
    #expect(outcome.words.contains("New, \(version), "))
    #expect(outcome.words.contains("ALPN protocol: h2\n"))
  }

  @Test(arguments: ["-tls1", "-tls1_1"])
  func oldVersionsAreRefused(option: String) async throws {
    // Else it is the client that refuses them.
    let outcome = try await connect([option, "-cipher", "DEFAULT@SECLEVEL=0", "-alpn", "h2"])
    #expect(outcome.status != 0)
    #expect(outcome.words.contains("alert protocol version"), "\(outcome.words)")
  }

  /// RFC 9113 section 3.2: HTTP/2 over TLS is what both sides have agreed to.
  @Test(
    arguments: ["-tls1_2", "-tls1_3"],
    [[], ["-alpn", "http/1.1"]])
  func clientsThatDoNotAskForHTTP2AreRefused(version: String, options: [String]) async throws {
    let outcome = try await connect([version] + options)
    #expect(outcome.status != 0)
    #expect(outcome.words.contains("alert no application protocol"), "\(outcome.words)")
  }

  /// As grpc-go does, lest a proxy on the way takes HTTP/2 for something else.
  @Test func ourClientRefusesAServerWithoutHTTP2() async throws {
    let certificates = try TestCertificates()
    let server = try certificates.configuration(for: "config", protocols: [])
    let client = try certificates.configuration(for: "audit")
    try await withReactor { reactor in
      let running = Server(reactor: reactor)
      let address = try running.listen(
        on: .ipv4(address: 0x7F00_0001, port: 0), tls: TLSContext.server(server))
      var configuration = ChannelConfiguration()
      configuration.tls = try TLSContext.client(client)
      configuration.expectedServer = .spiffe("spiffe://storeplane/config")
      let channel = Channel(reactor: reactor, configuration: configuration, address: address)
      let error = await rpcError {
        _ = try await TestingV1.EchoServiceClient(channel: channel).echo(EchoServer.request("x"))
      }
      #expect(error?.code == .unavailable)
      #expect(
        error?.message.contains("agrees to no application protocol of ours") == true,
        "\(String(describing: error))")
    }
  }
}
