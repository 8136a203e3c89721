import Reactor

/// One SQL statement with its parameters.
package struct PostgresStatement: Sendable {
  package var sql: String
  package var parameters: [PostgresParameter]

  package init(_ sql: String, _ parameters: [PostgresParameter] = []) {
    self.sql = sql
    self.parameters = parameters
  }
}

/// Statements that go to the server together; built by `pipeline`.
package struct PostgresPipeline {
  private(set) var statements: [PostgresStatement] = []

  /// Adds a statement; its result has the position in which it was added.
  package mutating func query(_ sql: String, _ parameters: [PostgresParameter] = []) {
    statements.append(PostgresStatement(sql, parameters))
  }
}

/// What was sent up to one synchronisation point and waits for its answer.
final class Batch {
  typealias Outcome = Result<[PostgresRows], PostgresError>

  /// What the next result is of.
  enum Step {
    /// The preparation of this SQL.
    case preparation(String)
    /// A statement of the caller, by its prepared SQL.
    case statement(preparedSQL: String?)
    /// Housekeeping whose outcome nobody waits for.
    case ignored
  }

  let id: Int
  /// Whether a lost connection leaves open if the change was made.
  let outcomeIsOpen: Bool
  /// A script ends with the last result instead of a synchronisation point.
  let isScript: Bool
  var steps: [Step] = []
  /// Nil before the caller waits, and once it has its answer.
  private var resumption: Resumption<Outcome>?
  /// What the caller is told; there as soon as it is known.
  private(set) var answer: Outcome?
  /// Fires at the deadline, then at the end of the grace that a cancellation has.
  var timer: LoopTimer?
  /// Why the caller no longer wants the answer.
  var interruption: PostgresError?
  var cancellation = Cancellation.none
  /// The answer was read whole.
  private(set) var isAnswered = false
  /// Reads that this batch's answer took, and the bytes of the later ones.
  var reads = 0
  var bytesRead = 0

  enum Cancellation {
    case none
    case running
    case done
  }

  private var step = 0
  private var hasResult = false
  private var rows: [PostgresRows] = []
  private(set) var error: PostgresError?

  init(id: Int, outcomeIsOpen: Bool, isScript: Bool = false) {
    self.id = id
    self.outcomeIsOpen = outcomeIsOpen
    self.isScript = isScript
  }

  /// What the caller is told once the answer was read.
  var outcome: Outcome {
    guard let error else { return .success(rows) }
    guard error.sqlState == .queryCanceled else { return .failure(error) }
    return .failure(interruption ?? error)
  }

  /// Tells the caller, who may not wait yet.
  func finish(_ outcome: Outcome) {
    if answer != nil { return }
    answer = outcome
    resumption?.resume(outcome)
    resumption = nil
  }

  /// The caller waits.
  func wait(_ resumption: Resumption<Outcome>) {
    if let answer { return resumption.resume(answer) }
    self.resumption = resumption
  }

  /// Takes the next result of libpq.
  func take(_ result: LibpqResult, _ cache: inout StatementCache) {
    switch result.status {
    case .pipelineSync:
      isAnswered = true
      return
    case .rows:
      succeed(result, &cache)
    case .failure:
      fail(result.error, &cache)
    case .pipelineAborted:
      fail(nil, &cache)
    case .unexpected:
      fail(PostgresError(.misuse, "COPY is not supported here"), &cache)
    }
    hasResult = true
  }

  /// libpq says that a statement's results are complete; false if there was none to complete.
  func endStep() -> Bool {
    if isScript {
      isAnswered = true
      return true
    }
    guard hasResult else { return false }
    hasResult = false
    step += 1
    return true
  }

  private func succeed(_ result: LibpqResult, _ cache: inout StatementCache) {
    if isScript { return }
    switch step < steps.count ? steps[step] : .ignored {
    case .preparation(let sql): cache.didPrepare(sql)
    case .statement: rows.append(PostgresRows(result: result))
    case .ignored: break
    }
  }

  /// `failure` is nil for a step that was skipped after another's failure.
  private func fail(_ failure: PostgresError?, _ cache: inout StatementCache) {
    if step < steps.count {
      switch steps[step] {
      case .preparation(let sql): cache.didNotPrepare(sql)
      case .statement(let sql?) where failure?.meansStalePlan ?? false: cache.invalidate(sql)
      default: break
      }
    }
    guard var failure, error == nil else { return }
    if failure.kind == .connectionLost {
      failure = .connectionLost(failure.message, outcomeUnknown: outcomeIsOpen)
    }
    if !isScript { failure.statement = rows.count }
    error = failure
  }
}

extension PostgresError {
  /// A table was altered under a prepared statement, or the server forgot it.
  fileprivate var meansStalePlan: Bool {
    sqlState == .featureNotSupported || sqlState == .invalidStatementName
  }
}
