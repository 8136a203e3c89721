import Foundation
import TestKit
import Testing

/// `rpc-interop-server` and `rpc-interop-client` as a tester of another implementation runs them.
@Suite(.timeLimit(.minutes(1 * Sanitized.timeFactor))) struct InteropProgramTests {
  private struct Outcome {
    let status: Int32
    let output: String
  }

  private static func program(_ name: String, _ arguments: [String], _ output: Pipe) -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
      .deletingLastPathComponent().appendingPathComponent(name)
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = output
    return process
  }

  private static func run(_ name: String, _ arguments: String...) throws -> Outcome {
    let output = Pipe()
    let process = program(name, arguments, output)
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return Outcome(status: process.terminationStatus, output: text)
  }

  /// A server on a port of the kernel's choice, which it says.
  private final class RunningProgram {
    let process: Process
    let port: String

    init(_ arguments: [String]) throws {
      let output = Pipe()
      process = InteropProgramTests.program(
        "rpc-interop-server", ["--port=0"] + arguments, output)
      try process.run()
      let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
      port = try #require(line.split(whereSeparator: \.isWhitespace).last.map(String.init))
      #expect(line.hasPrefix("listening on port "))
    }

    deinit { kill(process.processIdentifier, SIGKILL) }
  }

  @Test func theyTalkToEachOther() throws {
    let server = try RunningProgram([])
    for name in ["empty_unary", "large_unary", "ping_pong", "custom_metadata"] {
      let outcome = try Self.run(
        "rpc-interop-client", "--server_host=127.0.0.1", "--server_port=\(server.port)",
        "--test_case=\(name)")
      #expect(outcome.status == 0, "\(name): \(outcome.output)")
    }
  }

  @Test func theyTalkOverTLS() throws {
    let certificates = try TestCertificates()
    let files = try certificates.files(for: "config")
    let server = try RunningProgram([
      "--use_tls=true", "--tls_cert_file=\(files.certificate)", "--tls_key_file=\(files.key)",
    ])
    let common = ["--server_port=\(server.port)", "--test_case=empty_unary", "--use_tls=true"]
    // The certificate has both.
    for host in ["localhost", "127.0.0.1"] {
      let trusting = try Self.run(
        "rpc-interop-client", "--server_host=\(host)", common[0], common[1], common[2],
        "--ca_file=\(certificates.authorityFile)")
      #expect(trusting.status == 0, "\(host): \(trusting.output)")
    }
    let doubtful = try Self.run(
      "rpc-interop-client", "--server_host=localhost", common[0], common[1], common[2])
    #expect(doubtful.status == 1)
    #expect(doubtful.output.contains("unknown authority"))
    withExtendedLifetime(certificates) {}
  }

  @Test func whatTheyAreNotToldIsSaid() throws {
    for (name, argument) in [
      ("rpc-interop-client", "--test_case=nothing_like_it"), ("rpc-interop-client", "--port=1"),
      ("rpc-interop-server", "--port=many"), ("rpc-interop-server", "--use_tls=perhaps"),
    ] {
      let outcome = try Self.run(name, argument)
      #expect(outcome.status == 64, "\(name) \(argument): \(outcome.output)")
      #expect(outcome.output.contains("usage"))
    }
  }
}
