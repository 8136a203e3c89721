import Cryptography
import Foundation
import GatewayService
import JSON
import Postgres
import Reactor
import TestKit
import Testing

extension GatewayTests {
  /// The gateway's own process, as an installation runs it.
  @Suite struct GatewayProcess {
    private struct Outcome {
      let status: Int32
      let output: String
      let errors: String
    }

    private let binary = URL(fileURLWithPath: CommandLine.arguments[0])
      .deletingLastPathComponent().appendingPathComponent("gateway")

    private func environment() async throws -> [String: String] {
      let database = try await GatewayDatabase.urls()
      let certificates = try TestGateway.certificates.get().value
      let files = try certificates.files(for: "gateway")
      return [
        "PATH": "/usr/bin:/bin", "DATABASE_URL": database.application.revealed,
        "DATABASE_WORKER_URL": database.worker.revealed,
        "DATABASE_OWNER_URL": database.owner.revealed,
        "TOKEN_SIGNING_KEY": P256PrivateKey.generate().pem().copyText() ?? "",
        "TLS_CERTIFICATE_FILE": files.certificate, "TLS_KEY_FILE": files.key,
        "TLS_CA_FILE": certificates.authorityFile, "ADMIN_ADDRESS": "127.0.0.1:0",
        "LISTEN_ADDRESS": "127.0.0.1:0",
      ]
    }

    private func run(
      _ arguments: [String], _ environment: [String: String], input: String = ""
    ) throws -> Outcome {
      let process = Process()
      process.executableURL = binary
      process.arguments = arguments
      process.environment = environment
      let (input, inputText) = (Pipe(), input)
      let (output, errors) = (Pipe(), Pipe())
      process.standardInput = input
      process.standardOutput = output
      process.standardError = errors
      try process.run()
      try input.fileHandleForWriting.write(contentsOf: Data(inputText.utf8))
      try input.fileHandleForWriting.close()
      let text = output.fileHandleForReading.readDataToEndOfFile()
      let errorText = errors.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return Outcome(
        status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
        errors: String(decoding: errorText, as: UTF8.self))
    }

    @Test func anAdministratorIsCreatedOnce() async throws {
      let environment = try await environment()
      let name = "admin-\(UInt64.random(in: 0 ... .max))"
      let arguments = ["create-admin", "--username", name, "--tenant", "acme"]
      let first = try run(arguments, environment, input: "a password of some length\n")
      #expect(first.status == 0)
      #expect(first.output == "created \(name)\n")
      let second = try run(arguments, environment, input: "another password of some length")
      #expect(second.status == 0)
      #expect(second.output == "\(name) exists already and stays as it is\n")
      try await withGateway { gateway in
        let login = try gateway.login(name, "a password of some length")
        #expect(login.status == 200)
        let roles = login.json?.object?["principal"]?.object?["roles"]
        #expect(roles == ["ROLE_ADMIN", "ROLE_MEMBER"])
        #expect(try gateway.login(name, "another password of some length").status == 401)
      }
    }

    @Test(arguments: [
      (["create-admin"], "long enough, this", "--username is missing"),
      (["create-admin", "--username", "a b"], "long enough, this", "--username: use 1 to 64"),
      (["create-user", "--username", "x"], "long enough, this", "--tenant is missing"),
      (["create-user", "--username", "x", "--tenant", "A"], "long enough, too", "--tenant: use 1"),
      (["create-admin", "--username", "x"], "short", "has 5 characters; give at least 12"),
      (["create-admin", "--username", "x"], "two\nlines of it", "more than one line"),
      (["create-admin", "--username", "x", "--password", "p"], "", "--password is not an option"),
    ])
    func misuseIsExplained(
      arguments: [String], password: String, reason: String
    ) async throws {
      let outcome = try run(arguments, try await environment(), input: password)
      #expect(outcome.status == 64)
      #expect(outcome.errors.contains(reason))
      #expect(outcome.errors.contains("usage: gateway create-admin"))
    }

    @Test func theServiceServesAndStops() async throws {
      var environment = try await environment()
      let ports = try freePorts(2)
      environment["LISTEN_ADDRESS"] = "127.0.0.1:\(ports[0])"
      environment["ADMIN_ADDRESS"] = "127.0.0.1:\(ports[1])"
      let servicePort = try port("LISTEN_ADDRESS", environment)
      let adminPort = try port("ADMIN_ADDRESS", environment)
      let process = Process()
      process.executableURL = binary
      process.environment = environment
      let log = Pipe()
      process.standardError = log
      try process.run()
      defer { if process.isRunning { process.terminate() } }
      var lines = ""
      while !lines.contains("\"ready\"") {
        let chunk = log.fileHandleForReading.availableData
        if chunk.isEmpty { break }
        lines += String(decoding: chunk, as: UTF8.self)
      }
      let keys = try RawClient(port: servicePort).call("GET", "/.well-known/jwks.json")
      #expect(keys.status == 200, "\(lines)")
      #expect(try RawClient(port: servicePort).call("GET", "/v1/me").status == 401)
      // The database is first asked once all is started; the suite has a time limit.
      while try RawClient(port: adminPort).call("GET", "/readyz").status != 200 {}
      let metrics = try RawClient(port: adminPort).call("GET", "/metrics")
      #expect(metrics.body.contains("gateway_requests_total"))
      #expect(metrics.body.contains("outbox_pending"))
      process.terminate()
      lines += String(decoding: log.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0, "\(lines)")
      #expect(lines.contains("\"stopped\""))
      #expect(lines.contains("/.well-known/jwks.json"))
    }

    @Test func aGatewayThatCannotSignDoesNotStart() async throws {
      var environment = try await environment()
      environment["TOKEN_SIGNING_KEY"] = nil
      let outcome = try run([], environment)
      #expect(outcome.status == 69)
      #expect(outcome.errors.contains("neither TOKEN_SIGNING_KEY nor JWT_SECRET is set"))
    }

    @Test func aServiceConfigIsCheckedBeforeTheStart() async throws {
      let file = FileManager.default.temporaryDirectory
        .appendingPathComponent("service-config-\(UUID().uuidString).json")
      defer { try? FileManager.default.removeItem(at: file) }
      var environment = try await environment()
      environment["RPC_SERVICE_CONFIG_FILE"] = file.path
      try Data(#"{"loadBalancingConfig": [{"round_robin": {}}]}"#.utf8).write(to: file)
      #expect(try run(["--check"], environment).status == 0)
      try Data(#"{"methodConfig": [{"name": [{}], "timeout": "1m"}]}"#.utf8).write(to: file)
      for arguments in [["--check"], []] {
        let outcome = try run(arguments, environment)
        #expect(outcome.status == 78)
        let reason =
          "RPC_SERVICE_CONFIG_FILE names \(file.path), which is no service config: "
          + "$.methodConfig[0].timeout: expected a duration"
        #expect(outcome.errors.contains(reason))
        #expect(outcome.errors.contains("remedy: correct it, or leave the setting out"))
      }
    }

    private func port(_ key: String, _ environment: [String: String]) throws -> UInt16 {
      try #require(UInt16(environment[key]?.split(separator: ":").last ?? ""))
    }
  }
}
