/// One thing that keeps an installation from being set up.
package struct SetupProblem: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file or setting.
  package let subject: String
  /// Goes on from the subject: `is missing`.
  package let reason: String
  package let remedy: String

  package var description: String { "\(subject) \(reason); \(remedy)" }
}

/// Everything that is wrong, all at once. What was there before is as it was.
package struct SetupError: Error, Hashable, CustomStringConvertible {
  package let problems: [SetupProblem]

  package var description: String {
    let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
    let lines = problems.map { "  - \($0.subject) \($0.reason)\n    remedy: \($0.remedy)" }
    return "storeplane-setup: \(count)\n" + lines.joined(separator: "\n")
  }
}

/// Goes through steps that do not depend on each other and gathers what is wrong with each.
struct ProblemCollector {
  private(set) var problems: [SetupProblem] = []

  mutating func add(_ problem: SetupProblem) { problems.append(problem) }

  mutating func attempt<Value>(_ body: () throws(SetupProblem) -> Value) -> Value? {
    do throws(SetupProblem) {
      return try body()
    } catch {
      problems.append(error)
      return nil
    }
  }

  func check() throws(SetupError) {
    if !problems.isEmpty { throw SetupError(problems: problems) }
  }
}
