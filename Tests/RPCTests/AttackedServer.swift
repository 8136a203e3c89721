import Contracts
import Foundation
import PythonPeer
import RPC
import RPCCore
import Reactor
import TestKit

/// The server of `Tests/AttackTarget` in a process of its own, and what an attack did to it.
final class AttackedServer {
  struct Outcome {
    /// What the attacker says became of it.
    var verdict: String
    /// When, in seconds after it began; nil where the attack does not tell.
    var seconds: Double?
    /// How much the process' resident memory grew at its peak.
    var growthBytes: Int
    /// What it used of a processor in the meantime.
    var cpuSeconds: Double
    /// Calls of the client at the side that were answered, and the slowest.
    var calls: Int
    var slowestCall: Duration
  }

  private struct Refusal: Error { let words: String }

  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Peers/attacks.py")
  private static let binary = URL(fileURLWithPath: CommandLine.arguments[0])
    .deletingLastPathComponent().appendingPathComponent("AttackTarget")

  private let process = Process()
  let port: UInt16

  init(_ arguments: [String]) throws {
    let output = Pipe()
    process.executableURL = AttackedServer.binary
    process.arguments = arguments
    process.standardOutput = output
    process.environment = Sanitized.serverEnvironment
    try process.run()
    let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    guard let port = UInt16(line.trimmingCharacters(in: .newlines)) else {
      throw Refusal(words: line)
    }
    self.port = port
  }

  deinit { kill(process.processIdentifier, SIGKILL) }

  /// Has the server end; 0 where neither it nor a sanitizer has found fault with itself.
  func stop() -> Int32 {
    process.terminate()
    process.waitUntilExit()
    return process.terminationReason == .exit ? process.terminationStatus : -1
  }

  /// Attacks while calls go on from here, one after another, each with a deadline; with `isQuiet`
  /// none is made meanwhile. With `retries` they are made again where they are refused for a lack of room.
  func endure(
    _ attack: String, callTimeout: Duration, tls: TLSContext? = nil, isQuiet: Bool = false,
    retries: Bool = false
  ) async throws -> Outcome {
    let (port, attacked, meter) = (port, "\(attack) \(port)", ProcessMeter(process))
    return try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.tls = tls
      configuration.expectedServer = .hostName("localhost")
      if retries {
        configuration.service.defaults.retry = RetryPolicy(attempts: 5, codes: [.resourceExhausted])
      }
      let channel = Channel(
        reactor: reactor, configuration: configuration,
        address: .ipv4(address: 0x7F00_0001, port: port))
      let client = TestingV1.EchoServiceClient(channel: channel)
      _ = try await client.echo(EchoServer.request("connect"))
      try meter.resetPeak()
      let before = try meter.read()

      let blocking = BlockingPool(name: "attacker", threadsMax: 1)
      var verdict: Result<[String], any Error>?
      let attacking = reactor.loop.spawn(on: reactor) {
        do {
          verdict = .success(
            try await blocking.run { try PythonPeer.run(Self.script, cases: [attacked]) })
        } catch {
          verdict = .failure(error)
        }
      }
      var calls = 0
      var slowest = Duration.zero
      if isQuiet { await attacking.value }
      while verdict == nil {
        let started = Instant.now()
        _ = try await client.echo(
          EchoServer.request("call \(calls)"), options: CallOptions(timeout: callTimeout))
        slowest = max(slowest, Instant.now() - started)
        calls += 1
      }
      let after = try meter.read()
      let words = try verdict?.get().first ?? ""
      let parts = words.components(separatedBy: " after ")
      return Outcome(
        verdict: parts[0], seconds: parts.count == 2 ? Double(parts[1].dropLast(2)) : nil,
        growthBytes: after.peakBytes - before.residentBytes,
        cpuSeconds: after.cpuSeconds - before.cpuSeconds, calls: calls, slowestCall: slowest)
    }
  }
}

/// What proc(5) says of a process.
private struct ProcessMeter {
  let folder: URL

  init(_ process: Process) {
    folder = URL(fileURLWithPath: "/proc/\(process.processIdentifier)")
  }

  struct Reading {
    var residentBytes: Int
    /// Since the last `resetPeak`.
    var peakBytes: Int
    var cpuSeconds: Double
  }

  func resetPeak() throws {
    try Data("5".utf8).write(to: folder.appendingPathComponent("clear_refs"))
  }

  func read() throws -> Reading {
    let status = try text("status")
    // The name in parentheses is the second field; user and system time are the 14th and 15th.
    let fields = try text("stat").drop { $0 != ")" }.split(separator: " ")
    let ticks = (Double(fields[12]) ?? 0) + (Double(fields[13]) ?? 0)
    return Reading(
      residentBytes: kibibytes("VmRSS", in: status) * 1024,
      peakBytes: kibibytes("VmHWM", in: status) * 1024,
      cpuSeconds: ticks / Double(sysconf(Int32(_SC_CLK_TCK))))
  }

  private func text(_ file: String) throws -> String {
    try String(contentsOf: folder.appendingPathComponent(file), encoding: .utf8)
  }

  private func kibibytes(_ name: String, in status: String) -> Int {
    let line = status.split(separator: "\n").first { $0.hasPrefix("\(name):") } ?? ""
    return Int(line.filter(\.isNumber)) ?? 0
  }
}
