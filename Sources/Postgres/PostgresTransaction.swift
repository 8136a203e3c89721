package import Reactor

/// For whom a transaction works.
package enum PostgresScope: Equatable, Sendable {
  /// For one tenant: row-level security lets the transaction see and change only its rows.
  case tenant(String)
  /// Across tenants, by the named functions that the worker role may call; for a pool of that role.
  case worker
  /// For tables that have no tenant. Rows of tenants are not visible.
  case none
}

package enum PostgresIsolation: String, Sendable {
  case readCommitted = "READ COMMITTED"
  case repeatableRead = "REPEATABLE READ"
  case serializable = "SERIALIZABLE"
}

/// An open transaction; handed to the body of `PostgresPool.withTransaction` and of no use after it.
///
/// BEGIN and the tenant's scope travel with the first statements: they cost no round trip.
package final class PostgresTransaction {
  /// When the whole transaction is to be over.
  package let deadline: Instant
  let connection: PostgresConnection
  private var prologue: [PostgresStatement]
  private var isOpen = true

  init(
    connection: PostgresConnection, scope: PostgresScope, isolation: PostgresIsolation,
    deadline: Instant
  ) {
    self.connection = connection
    self.deadline = deadline
    prologue = [PostgresStatement("BEGIN ISOLATION LEVEL \(isolation.rawValue)")]
    if let statement = scope.statement { prologue.append(statement) }
  }

  /// As `PostgresConnection.query`, by the transaction's deadline or an earlier one.
  @discardableResult
  package func query(
    _ sql: String, _ parameters: [PostgresParameter] = [], deadline: Instant = .distantFuture
  ) async throws(PostgresError) -> PostgresRows {
    try await run([PostgresStatement(sql, parameters)], deadline: deadline)[0]
  }

  /// As `PostgresConnection.pipeline`.
  @discardableResult
  package func pipeline(
    deadline: Instant = .distantFuture, _ build: (inout PostgresPipeline) -> Void
  ) async throws(PostgresError) -> [PostgresRows] {
    var pipeline = PostgresPipeline()
    build(&pipeline)
    return try await run(pipeline.statements, deadline: deadline)
  }

  private func run(
    _ statements: [PostgresStatement], deadline: Instant
  ) async throws(PostgresError) -> [PostgresRows] {
    guard isOpen else { throw PostgresError(.misuse, "the transaction is over") }
    let first = prologue
    prologue = []
    do {
      let results = try await connection.run(
        first + statements, deadline: min(deadline, self.deadline))
      return first.isEmpty ? results : Array(results.dropFirst(first.count))
    } catch {
      var error = error
      if let statement = error.statement { error.statement = max(0, statement - first.count) }
      throw error
    }
  }

  /// The body returned: its changes are made to last.
  func commit() async throws(PostgresError) {
    isOpen = false
    // Nothing was sent: there is nothing to end.
    if !prologue.isEmpty { return }
    let result = try await connection.run(
      [PostgresStatement("COMMIT")], deadline: deadline, endsTransaction: true)
    if result[0].commandTag == "ROLLBACK" {
      var error = PostgresError(
        .server, "a statement of the transaction had failed, so that it was rolled back")
      error.sqlState = .inFailedTransaction
      throw error
    }
  }

  /// The longest wait for a rollback; after it the connection is closed, which rolls back too.
  static let rollbackTimeout: Duration = .seconds(2)

  /// The body threw. Whether or not the task is cancelled and the deadline over, nothing stays open.
  func rollback() async {
    isOpen = false
    if !prologue.isEmpty || connection.isClosed || connection.isIdle { return }
    do {
      _ = try await connection.run(
        [PostgresStatement("ROLLBACK")], deadline: .now() + PostgresTransaction.rollbackTimeout,
        ignoresCancellation: true)
    } catch {
      connection.close()
    }
  }
}

extension PostgresScope {
  /// The statement that puts the rest of its transaction in this scope.
  var statement: PostgresStatement? {
    guard case .tenant(let tenant) = self else { return nil }
    return PostgresStatement(
      "SELECT set_config('storeplane.tenant', $1, true)", [.text(tenant)])
  }
}
