import Foundation
import Glibc
import JSON
import TestKit
import Testing

/// The program as its users run it, with a login of its own.
final class StorectlUser: Sendable {
  let name: String
  let tenant: String
  let folder: URL
  let address: String

  /// A new user of a new tenant who is signed in.
  static func signedIn(
    _ platform: TestPlatform, at address: String? = nil
  ) async throws -> StorectlUser {
    let number = UInt32.random(in: 0 ... .max)
    let admin = try await platform.signedInAdministrator()
    let tenant = "t\(number)"
    let made = try admin.run("tenants", "create", tenant, "--display-name", "Test")
    #expect(made.status == 0, "\(made.errors)")
    try await platform.addUser("user-\(number)", tenant: tenant)
    let user = try StorectlUser(
      name: "user-\(number)", tenant: tenant, address ?? platform.address)
    try user.login()
    return user
  }

  init(name: String, tenant: String, _ address: String) throws {
    self.name = name
    self.tenant = tenant
    self.address = address
    folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("storectl-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  var credentialsFile: URL { folder.appendingPathComponent("credentials.json") }

  var environment: [String: String] {
    [
      "PATH": "/usr/bin:/bin", "HOME": folder.path, "TZ": "UTC", "STOREPLANE_ADDRESS": address,
      "STORECTL_CONFIG": credentialsFile.path, "LANG": "C.UTF-8",
    ]
  }

  func login() throws {
    let outcome = try run("login", "--username", name, input: TestPlatform.password + "\n")
    #expect(outcome.status == 0, "\(outcome.errors)")
  }

  struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    /// What a terminal showed.
    var shown: String { errors + output }

    var json: JSON? { try? JSON(parsing: output) }
    var lines: [String] { output.split(separator: "\n").map(String.init) }
  }

  @discardableResult
  func run(
    _ arguments: String..., input: String = "", bytes: [UInt8]? = nil,
    environment changes: [String: String?] = [:]
  ) throws -> Outcome {
    let run = try StorectlRun(arguments, environment: changed(changes))
    return try run.end(input: bytes ?? Array(input.utf8))
  }

  /// Begins a run that the test accompanies.
  func start(_ arguments: String...) throws -> StorectlRun {
    try StorectlRun(arguments, environment: environment)
  }

  /// Runs it on a terminal of its own, and types each reply after its prompt. What the terminal shows
  /// is in the outcome's errors and output.
  func onTerminal(
    _ arguments: String, _ replies: [(prompt: String, reply: String)] = []
  ) throws -> Outcome {
    let run = try StorectlRun(
      ["-qec", "\(StorectlRun.binary.path) \(arguments)", "/dev/null"],
      environment: environment.merging(["TERM": "xterm", "SHELL": "/bin/sh"]) { $1 },
      program: URL(fileURLWithPath: "/usr/bin/script"))
    for (prompt, reply) in replies {
      try run.wait(for: prompt, onOutput: true)
      run.type(reply + "\n")
    }
    return try run.end()
  }

  private func changed(_ changes: [String: String?]) -> [String: String] {
    var environment = environment
    for (key, value) in changes { environment[key] = value }
    return environment
  }
}

/// A process of storectl.
final class StorectlRun {
  static let binary = URL(fileURLWithPath: CommandLine.arguments[0])
    .deletingLastPathComponent().appendingPathComponent("storectl")

  private static let silenceMillisecondsMax: Int32 = 60_000

  private let process = Process()
  private let input: Pipe
  private let output: Pipe
  private let errors: Pipe
  private var seen = ""

  init(_ arguments: [String], environment: [String: String], program: URL = binary) throws {
    // Started first: begun between, the server would inherit the pipes, whose end then never came.
    _ = try ThrowawayPostgres.shared()
    (input, output, errors) = (Pipe(), Pipe(), Pipe())
    process.executableURL = program
    process.arguments = arguments
    process.environment = environment
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    try process.run()
  }

  deinit { if process.isRunning { process.terminate() } }

  /// Reads on from standard error, or output, until `mark` has come.
  func wait(for mark: String, onOutput: Bool = false) throws {
    let pipe = onOutput ? output : errors
    while !seen.contains(mark) {
      let chunk = read(pipe)
      try #require(!chunk.isEmpty, "the end came before \(mark): \(seen)")
      seen += String(decoding: chunk, as: UTF8.self)
    }
  }

  func type(_ text: String) {
    try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
  }

  func interrupt() { kill(process.processIdentifier, SIGINT) }

  func end(input bytes: [UInt8] = []) throws -> StorectlUser.Outcome {
    try? input.fileHandleForWriting.write(contentsOf: Data(bytes))
    try input.fileHandleForWriting.close()
    let text = readToEnd(output)
    let errorText = readToEnd(errors)
    process.waitUntilExit()
    return StorectlUser.Outcome(
      status: process.terminationStatus, output: text, errors: seen + errorText)
  }

  /// None at the end, which comes at the latest when nothing has for a while. FileHandle's own reading
  /// ends the process when a signal comes between.
  private func read(_ pipe: Pipe) -> [UInt8] {
    let descriptor = pipe.fileHandleForReading.fileDescriptor
    var chunk = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      if poll(&readable, 1, Self.silenceMillisecondsMax) == 0 {
        Issue.record("storectl says nothing and does not end")
        kill(process.processIdentifier, SIGKILL)
        return []
      }
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      return Array(chunk[..<max(0, count)])
    }
  }

  private func readToEnd(_ pipe: Pipe) -> String {
    var bytes: [UInt8] = []
    while true {
      let chunk = read(pipe)
      if chunk.isEmpty { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk
    }
  }
}

/// The tests that run storectl against the platform.
@Suite(.timeLimit(.minutes(4))) enum StorectlTests {}
