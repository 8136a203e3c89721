import TestKit

/// What goes wrong in a run, and how often: drawn from its seed, so that runs differ in kind too.
struct Faults {
  var random: SplitMix64
  /// From when on nothing goes wrong any more.
  private(set) var isOver = false
  private let databaseRate: Double
  private let databaseFaults: [DatabaseProxy.Fault]
  private let backendRate: Double
  private let backendFaults: [Backend]
  private let auditRate: Double
  private let noticeLossRate: Double
  /// Transactions that may be open at once.
  let lanes: Int
  /// Users ask, and things go wrong, for so long.
  let troubledSeconds: Int64
  /// Whether replicas look at what runs, and after old backups.
  let looksAtDrift: Bool
  let removesBackups: Bool
  let checksClusters: Bool
  /// The cluster that goes away for good.
  let lostCluster: String?
  /// Whether they back stores up by themselves.
  let schedulesBackups: Bool
  /// What calls of the backend take, against what they usually do.
  private let backendPace: Double
  /// Kills, stalls, cuts, restarts, outages and jumps in a minute.
  let accidentsPerMinute: Double

  init(seed: UInt64) {
    random = SplitMix64(seed: seed)
    databaseRate = [0, 0.002, 0.01, 0.03][Int.random(in: 0..<4, using: &random)]
    databaseFaults = Faults.some(DatabaseProxy.Fault.allCases, &random)
    backendFaults = Faults.some(Backend.allCases, &random)
    backendRate = [0, 0.05, 0.15, 0.3][Int.random(in: 0..<4, using: &random)]
    auditRate = [0, 0.1, 0.4][Int.random(in: 0..<3, using: &random)]
    accidentsPerMinute = [0, 2, 6, 12][Int.random(in: 0..<4, using: &random)]
    noticeLossRate = [0, 0, 0.3, 1][Int.random(in: 0..<4, using: &random)]
    troubledSeconds = [15, 25, 40][Int.random(in: 0..<3, using: &random)]
    looksAtDrift = Bool.random(using: &random)
    removesBackups = Bool.random(using: &random)
    schedulesBackups = Bool.random(using: &random)
    backendPace = [0.2, 0.5, 1][Int.random(in: 0..<3, using: &random)]
    lanes = [1, 2, 2][Int.random(in: 0..<3, using: &random)]
    checksClusters = Bool.random(using: &random)
    let isLost = Int.random(in: 0..<4, using: &random) == 0
    lostCluster = isLost ? SimulatedDatabase.clusters.randomElement(using: &random) : nil
  }

  /// At least one: runs with few kinds reach what others do not.
  private static func some<T>(_ all: [T], _ random: inout SplitMix64) -> [T] {
    Array(all.shuffled(using: &random).prefix(Int.random(in: 1...all.count, using: &random)))
  }

  mutating func end() { isOver = true }

  mutating func chance(_ probability: Double) -> Bool {
    Double.random(in: 0..<1, using: &random) < probability
  }

  mutating func pick<T>(_ choices: [T]) -> T {
    choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  /// Nanoseconds, mostly near the lower bound.
  mutating func nanoseconds(_ range: ClosedRange<Double>) -> Int64 {
    let share = Double.random(in: 0...1, using: &random)
    return Int64((range.lowerBound + (range.upperBound - range.lowerBound) * share * share) * 1e9)
  }

  mutating func seconds(_ range: ClosedRange<Double>) -> Duration {
    .nanoseconds(nanoseconds(range))
  }

  /// What a part of a call takes.
  mutating func backendTime(_ seconds: ClosedRange<Double>) -> Duration {
    self.seconds(seconds) * backendPace
  }

  mutating func database() -> DatabaseProxy.Fault? {
    if isOver || !chance(databaseRate) { return nil }
    return pick(databaseFaults)
  }

  /// Whether one that listens is not told.
  mutating func losesNotice() -> Bool { !isOver && noticeLossRate > 0 && chance(noticeLossRate) }

  mutating func slowness(isInside: Bool) -> Int64 {
    nanoseconds(isInside ? 0.05...0.4 : 0.5...12)
  }

  enum Backend: String, CaseIterable {
    /// Fails before, or after, it has done its work, with hope.
    case failsBefore, failsAfter
    case failsForGood
    /// What it calls is away or too busy.
    case unreachable, throttled
    /// Ends when it is cancelled only, before or after it has done its work.
    case hangs, hangsAfter
    /// Ends by force only.
    case stubborn
    /// Takes its helm-worker along.
    case crashes
    case slow
  }

  mutating func backend() -> Backend? {
    isOver || !chance(backendRate) ? nil : pick(backendFaults)
  }

  enum Inspection: String, CaseIterable {
    /// Something is not as stores need it.
    case lacking
    /// It does not tell which cluster it is.
    case untold
    /// The config service does not give the kubeconfig.
    case noKubeconfig
    /// The replica cannot make checks.
    case cannotCheck
  }

  mutating func inspection() -> Inspection? {
    isOver || !chance(0.15) ? nil : pick(Inspection.allCases)
  }

  enum Audit: String, CaseIterable {
    case unavailable, answerLost, internalError, slow
  }

  mutating func audit() -> Audit? {
    isOver || !chance(auditRate) ? nil : pick(Audit.allCases)
  }
}
