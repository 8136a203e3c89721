import ProvisionerService

/// What was reached, over all runs.
struct Coverage {
  private(set) var cells: [String: Int] = [:]

  mutating func count(_ cell: String, by count: Int = 1) { cells[cell, default: 0] += count }

  mutating func merge(_ other: Coverage) {
    for (cell, count) in other.cells { self.count(cell, by: count) }
  }

  /// The cells below `prefix`, and how often they were reached in all.
  func total(_ prefix: String) -> (cells: Int, count: Int) {
    let these = cells.filter { $0.key.hasPrefix(prefix) }
    return (these.count, these.values.reduce(0, +))
  }

  /// Of what runs are to reach, how much was, and what was not.
  var reached: (count: Int, missing: [String]) {
    let missing = Coverage.wanted.filter { wanted in
      !cells.keys.contains { $0 == wanted || $0.hasPrefix(wanted + " ") }
    }
    return (Coverage.wanted.count - missing.count, missing)
  }

  /// Fewer runs may miss what is rare.
  static let runsMin = 400

  /// What so many runs must reach, else they prove less than they seem to: each cell itself, or one below it.
  static let wanted: [String] =
    steps + outcomes + transitions
    + DatabaseProxy.Fault.allCases.map { "database \($0.rawValue)" }
    + Faults.Backend.allCases.map { "fault \($0.rawValue)" }
    + Faults.Audit.allCases.map { "audit \($0.rawValue)" }
    + ["kill", "stall", "cut", "stop", "restart", "jump", "outage", "astray"].map {
      "accident \($0)"
    }
    + ["waits", "notices lost"].map { "overlap \($0)" }
    + ["made", "seen", "not seen", "corrected"].map { "drift \($0)" }
    + ["done", "failed"].map { "backup removal \($0)" }
    + ["backup succeeded", "backup cancelled", "backup-test succeeded"].map { "scheduled \($0)" }
    + ["ready", "failed", "deleted"].map { "end \($0)" }
    + [
      "create", "create from a backup", "retry", "delete", "delete after a backup", "cancel",
      "again by the same key", "drift policy", "delete a backup", "cluster open",
      "cluster cordoned", "cluster draining", "cluster abandoned", "cluster registered",
    ].map { "asked \($0)" }
    + ["lost default", "lost east", "passed", "not ready", "ready again"].map { "cluster \($0)" }
    + ["away", "elsewhere"].map { "cluster found \($0)" }
    + Faults.Inspection.allCases.map { "cluster inspection \($0.rawValue)" }
    + ["abandon", "unregister", "end"].map { "given up \($0)" } + ["given up skipped"]

  private static var steps: [String] {
    OperationKind.allCases.flatMap { kind in
      Set(kind.steps + kind.steps(withBackup: true)).map { "step \(kind.rawValue) \($0.rawValue)" }
    }.sorted()
  }

  private static var outcomes: [String] {
    OperationKind.allCases.flatMap { kind in
      // Those that begin late in a run fail in one of a thousand.
      ([.resume, .restore, .backupTest].contains(kind) ? ["succeeded"] : ["succeeded", "failed"])
        .map { "outcome \(kind.rawValue) \($0)" }
        + (kind.isCancellable && kind != .backupTest ? ["outcome \(kind.rawValue) cancelled"] : [])
    }
  }

  private static var transitions: [String] {
    StoreState.transitions.flatMap { from, events in
      Set(events.values.map(\.rawValue)).map { "transition \(from.rawValue)-\($0)" }
    }.sorted()
  }
}
