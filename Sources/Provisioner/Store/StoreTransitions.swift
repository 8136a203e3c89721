package import Contracts
package import Observability
import Postgres
import ServiceRuntime

/// Who makes a change, and on whose request.
package struct ChangeOrigin: Sendable {
  package let actor: AuditV1.Actor
  /// The request that led to it, now or long ago.
  package let request: StoredRequestContext

  package init(actor: AuditV1.Actor, request: StoredRequestContext) {
    self.actor = actor
    self.request = request
  }

  /// The provisioner's own doing, on the request that asked for the operation.
  package static func engine(_ request: StoredRequestContext) -> ChangeOrigin {
    ChangeOrigin(actor: .service(.provisioner), request: request)
  }

  /// The doing of whoever made a request, earlier on.
  static func principal(of request: StoredRequestContext) -> ChangeOrigin {
    let actor = request.principal.flatMap { AuditV1.Actor(principal: $0) }
    return ChangeOrigin(actor: actor ?? .service(.provisioner), request: request)
  }
}

/// The only place that changes a store's state. Each change is written with its place in the store's
/// history and its audit event, in the transaction it is part of.
enum StoreTransitions {
  /// Records a store that was just inserted.
  static func begin(
    _ store: StoreRecord, origin: ChangeOrigin, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await record(store, from: nil, .none, origin, in: transaction)
  }

  /// Applies `event` to a store that the caller read in this transaction.
  ///
  /// - Parameters:
  ///   - operation: the operation that works on the store from now on; nil leaves it.
  ///   - problem: why it failed; for events that lead to `failed` only.
  /// - Returns: the store afterwards.
  /// - Throws: `IllegalStoreEvent`; `StoreRefusal.stale` where the store left its state meanwhile.
  @discardableResult
  static func apply(
    _ event: StoreEvent, to store: StoreRecord, operation: PostgresUUID? = nil,
    problem: StoreProblem? = nil, origin: ChangeOrigin, in transaction: PostgresTransaction
  ) async throws -> StoreRecord {
    let next = try store.state.after(event)
    let parameters: [PostgresParameter] =
      [
        .text(store.id), .text(store.state.rawValue), .text(next.rawValue),
        .uuid(operation ?? store.operation),
      ] + problem.parameters
    let rows = try await transaction.query(
      """
      UPDATE stores SET state = $3, revision = revision + 1, version = version + 1, operation = $4,
        error_code = $5, error_message = $6, error_retryable = $7, error_user_fault = $8,
        updated_at = clock_timestamp(),
        ready_at = CASE WHEN $3 = 'ready' THEN clock_timestamp() ELSE ready_at END,
        deleted_at = CASE WHEN $3 = 'deleted' THEN clock_timestamp() END,
        release = CASE WHEN $3 <> 'deleting' THEN release END,
        suspended = suspended AND $3 <> 'deleting',
        conditions = CASE WHEN $3 = 'deleting' THEN '[]' ELSE conditions END
      WHERE id = $1 AND state = $2
      RETURNING \(StoreRecord.columns)
      """, parameters)
    guard let row = rows.first else { throw StoreRefusal.stale }
    let changed = try StoreRecord(row)
    if event == .delete { try await StoreReleases.forget(store.id, in: transaction) }
    try await record(changed, from: store.state, event, origin, in: transaction)
    return changed
  }

  private static func record(
    _ store: StoreRecord, from previous: StoreState?, _ event: StoreEvent?, _ origin: ChangeOrigin,
    in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    try await transaction.query(
      """
      INSERT INTO store_transitions
        (store, revision, tenant, version, previous_state, state, operation, occurred_at,
         error_code, error_message, error_retryable, error_user_fault)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
      """,
      [
        .text(store.id), .int8(store.revision), .text(store.tenant), .int8(store.version),
        .text(previous?.rawValue), .text(store.state.rawValue), .uuid(store.operation),
        .timestamp(store.updatedAt),
      ] + store.problem.parameters)
    try await OutboxWriter().append(
      StoreEventMessage.event(store: store, from: previous, event, origin), in: transaction)
  }
}
