import CSimulatedMachine
import Glibc

/// The process that does runs, one after another. What a dead machine held is not given back before the process
/// ends, so it does a limited number.
enum Worker {
  static let runsMax = 100

  /// - Parameter arguments: the first seed, how many, and words about how. The database is told on standard input: a
  ///   folder, the number of the processor, the schema, the administrator's URL, then roles and URLs in turn, a line each.
  static func run(_ arguments: [String]) throws {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    guard let first = UInt64(arguments[0]), let count = UInt64(arguments[1]) else { return }
    let isVerbose = arguments.contains("verbose")
    let mutation = arguments.compactMap(Mutation.init).first
    var lines: [String] = []
    while let line = readLine() { lines.append(line) }
    var urls: [String: String] = [:]
    for index in stride(from: 4, to: lines.count - 1, by: 2) {
      urls[lines[index]] = lines[index + 1]
    }
    simulated_machine_keep_to_processor(Int32(lines[1]) ?? -1)
    let environment = Simulation.Environment(
      folder: lines[0],
      database: try SimulatedDatabase(schema: lines[2], urls: urls, adminURL: lines[3]))
    simulated_machine_enter()
    for seed in first..<(first + count) {
      let isWell = try report(
        try Simulation(seed: seed, environment, mutation: mutation, isVerbose: isVerbose))
      // A mistake that was found need not be found again.
      if mutation != nil, !isWell { return }
    }
  }

  private static func report(_ simulation: Simulation) throws -> Bool {
    let violations = try simulation.run()
    for violation in violations { print("violation \(simulation.seed) \(violation)") }
    simulation.end()
    for (cell, count) in simulation.coverage.cells { print("cell \(count) \(cell)") }
    let hash = String(simulation.trace.hash, radix: 16)
    defer { fflush(nil) }
    print("run \(simulation.seed) \(hash) \(simulation.trace.count) \(simulation.time / 1_000_000)")
    return violations.isEmpty
  }
}
