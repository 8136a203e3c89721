import CSimulatedMachine
import Foundation
import TestKit

/// Shares runs out among processes, each with a server of its own, and says what came of them.
final class Driver {
  private static let schema = "simulated"
  /// Runs of the simulation's own test in which a mistake must be found: about ten times what the one takes that is
  /// the hardest to find.
  private static let mistakeRunsMax = 200

  private let request: Request
  private var slots: [WorkerSlot] = []

  init(_ request: Request) { self.request = request }

  /// Whether all is well.
  func run() async throws -> Bool {
    for number in 0..<request.processes {
      simulated_machine_keep_to_processor(Int32(number))
      defer { simulated_machine_keep_to_processor(-1) }
      let server = try ThrowawayPostgres()
      let lines = try await SimulatedDatabase.prepare(on: server, schema: Driver.schema)
      slots.append(WorkerSlot(server, ["", "\(number)", Driver.schema] + lines))
    }
    if request.isCheck { return try await check() }
    let seed = request.seed ?? UInt64.random(in: 0..<1_000_000_000)
    let runs = request.runs ?? (request.seed == nil ? 200 : 1)
    print("seed \(seed), \(runs) runs")
    let begin = Date()
    let results = await work(seed, runs, mutation: request.mutation, isVerbose: request.isVerbose)
    return report(results, runs: runs, seconds: Date().timeIntervalSince(begin))
  }

  // MARK: Runs

  /// Runs so many seeds from `seed` on; ends early after a few that fail.
  private func work(
    _ seed: UInt64, _ runs: Int, mutation: Mutation?, isVerbose: Bool = false, failuresMax: Int = 5
  ) async -> Results {
    let shared = SharedResults(
      seed, runs, failuresMax: failuresMax, tells: mutation == request.mutation)
    await withTaskGroup(of: Void.self) { group in
      for slot in slots {
        group.addTask {
          while let (first, count) = shared.next() {
            slot.run(first, count, mutation: mutation, isVerbose: isVerbose) { shared.add($0) }
          }
        }
      }
    }
    return shared.results
  }

  private func report(_ results: Results, runs: Int, seconds: Double) -> Bool {
    func number(_ value: Double) -> String { String(format: "%.1f", value) }
    let done = results.hashes.count
    print(
      """
      \(done) runs in \(number(seconds)) s, \(number(Double(done) / seconds)) a second; \
      \(results.steps) things happened, in \(results.virtualSeconds / 3_600) h of virtual time
      """)
    for (prefix, words) in [
      ("asked", "kinds of requests"), ("transition", "transitions of stores"),
      ("end", "states at rest"), ("outcome", "outcomes of operations (kind, outcome, error)"),
      ("step", "steps with faults (kind, step, fault)"),
      ("database", "statements with faults (fault, statement)"), ("audit", "faults of audit"),
      ("accident", "accidents of machines and clusters"), ("fault", "faults of the backend"),
      ("overlap", "overlapping transactions, lost notices"), ("drift", "changes past us"),
      ("backup", "removals of backups"), ("scheduled", "work that nobody asked for"),
      ("cluster", "what becomes of clusters"), ("given", "what is given up"),
      ("refused", "refusals"),
      ("settling", "times to come to rest"),
    ] {
      let (cells, count) = results.coverage.total(prefix + " ")
      print("  \(words): \(cells), \(count) times")
      if request.isVerbose || cells <= 12 {
        for (cell, count) in results.coverage.cells.sorted(by: { $0.key < $1.key })
        where cell.hasPrefix(prefix + " ") {
          print("    \(cell.dropFirst(prefix.count + 1)): \(count)")
        }
      }
    }
    tellWhatIsMissing(results)
    for seed in results.failed.sorted() {
      print("FAILED: seed \(seed); see it with scripts/simulate --seed \(seed) --verbose")
    }
    return results.failed.isEmpty && done == runs
  }

  @discardableResult
  private func tellWhatIsMissing(_ results: Results) -> Bool {
    let (count, missing) = results.coverage.reached
    print("  of what is to be reached \(count) of \(Coverage.wanted.count)")
    for cell in missing { print("    not: \(cell)") }
    return missing.isEmpty
  }

  // MARK: The simulation's own test

  /// A seed gives the same run again, each mistake is found, and all that is to be reached is, where the runs are
  /// as many as that takes.
  private func check() async throws -> Bool {
    let seed = request.seed ?? 1
    let runs = request.runs ?? Coverage.runsMin
    let first = await work(seed, runs, mutation: nil)
    slots.reverse()
    let second = await work(seed, runs, mutation: nil)
    let differing = first.hashes.filter { second.hashes[$0.key] != $0.value }.keys.sorted()
    print(
      "\(runs) seeds again: \(differing.isEmpty ? "all as before" : "not as before: \(differing)")")
    fflush(nil)
    var isWell = differing.isEmpty && first.hashes.count == runs && first.failed.isEmpty
    if runs >= Coverage.runsMin, !tellWhatIsMissing(first) { isWell = false }
    for mutation in Mutation.allCases {
      let results = await work(
        seed, Self.mistakeRunsMax, mutation: mutation, failuresMax: 1)
      // By what the run has come to, since a process that breaks off has found nothing; and not without the
      // mistake.
      var found = results.failed.filter { results.hashes[$0] != nil }.min()
      if let seed = found, !(await work(seed, 1, mutation: nil)).failed.isEmpty { found = nil }
      let reason = results.failures.first ?? ""
      print(
        "\(mutation.rawValue): \(found.map { "found by run \($0 - seed + 1)" } ?? "NOT FOUND"); \(reason)"
      )
      fflush(nil)
      if found == nil { isWell = false }
    }
    return isWell
  }
}

/// What came of runs.
struct Results {
  var hashes: [UInt64: String] = [:]
  var failures: [String] = []
  var failed: Set<UInt64> = []
  var coverage = Coverage()
  var steps = 0
  var virtualMilliseconds = 0

  var virtualSeconds: Int { virtualMilliseconds / 1_000 }

  /// Takes a line of a worker's output.
  mutating func take(_ line: String) {
    let words = line.split(separator: " ", maxSplits: 2).map(String.init)
    guard words.count > 2 else { return }
    switch words[0] {
    case "violation":
      failures.append("seed \(words[1]): \(words[2])")
      UInt64(words[1]).map { _ = failed.insert($0) }
    case "cell": coverage.count(words[2], by: Int(words[1]) ?? 0)
    case "run":
      let more = words[2].split(separator: " ").map(String.init)
      UInt64(words[1]).map { hashes[$0] = more[0] }
      steps += Int(more[1]) ?? 0
      virtualMilliseconds += Int(more[2]) ?? 0
    default: break
    }
  }
}

/// The runs that are left, and the results of the others.
private final class SharedResults: @unchecked Sendable {
  private let lock = NSLock()
  private var nextSeed: UInt64
  private let end: UInt64
  private let failuresMax: Int
  private let tells: Bool
  private var gathered = Results()

  init(_ seed: UInt64, _ runs: Int, failuresMax: Int, tells: Bool) {
    self.tells = tells
    nextSeed = seed
    end = seed + UInt64(runs)
    self.failuresMax = failuresMax
  }

  var results: Results { lock.withLock { gathered } }

  func next() -> (UInt64, Int)? {
    lock.withLock {
      guard nextSeed < end, gathered.failed.count < failuresMax else { return nil }
      let left = end - nextSeed
      let count = min(UInt64(Worker.runsMax), left, max(10, left / 4))
      defer { nextSeed += count }
      return (nextSeed, Int(count))
    }
  }

  func add(_ line: String) {
    lock.withLock { gathered.take(line) }
    if tells, line.hasPrefix("violation ") { complain(line) }
  }
}

/// A server, and the process that uses it now.
private final class WorkerSlot: @unchecked Sendable {
  private let server: ThrowawayPostgres
  private let folder: URL
  private var lines: [String]

  init(_ server: ThrowawayPostgres, _ lines: [String]) {
    self.server = server
    self.lines = lines
    folder = FileManager.default.temporaryDirectory.appending(path: "simulate-\(UUID().uuidString)")
    self.lines[0] = folder.path
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Hands on each line that the worker prints.
  func run(
    _ seed: UInt64, _ count: Int, mutation: Mutation?, isVerbose: Bool, _ take: (String) -> Void
  ) {
    let process = Process()
    let (input, output) = (Pipe(), Pipe())
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments =
      ["worker", "\(seed)", "\(count)", mutation?.rawValue ?? "", isVerbose ? "verbose" : ""]
    process.environment = ProcessInfo.processInfo.environment
      .merging(["SWIFT_DETERMINISTIC_HASHING": "1"]) { $1 }
    process.standardInput = input
    process.standardOutput = output
    do {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try process.run()
    } catch { return take("violation \(seed) no worker: \(error)") }
    input.fileHandleForWriting.write(Data(lines.joined(separator: "\n").utf8))
    input.fileHandleForWriting.closeFile()
    var done: UInt64 = 0
    var text = Data()
    while case let part = output.fileHandleForReading.availableData, !part.isEmpty {
      text += part
      while let end = text.firstIndex(of: UInt8(ascii: "\n")) {
        let line = String(decoding: text[..<end], as: UTF8.self)
        if line.hasPrefix("run ") { done += 1 }
        take(line)
        text = Data(text[(end + 1)...])
      }
    }
    process.waitUntilExit()
    if process.terminationStatus != 0 {
      take("violation \(seed + done) the process ended: \(process.terminationStatus)")
    }
  }
}
