package import Postgres
package import Reactor

/// Where a page of a list goes on: after this row. It grants nothing: rows are the tenant's own
/// whatever it says.
package struct ListPosition: Equatable, Sendable {
  package let createdAt: PostgresTimestamp
  package let id: String

  package init(createdAt: PostgresTimestamp, id: String) {
    self.createdAt = createdAt
    self.id = id
  }
}

/// A page of a list, the newest first.
package struct ListPage<Item: Sendable>: Sendable {
  package let items: [Item]
  /// Nil on the last page.
  package let next: ListPosition?
}

/// Reading. Every function is for one tenant.
extension StoreCatalog {
  package func find(
    _ reference: StoreReference, tenant: String, deadline: Instant
  ) async throws(PostgresError) -> StoreRecord? {
    let (condition, text) = reference.condition
    let rows = try await pool.query(
      scope: .tenant(tenant), "SELECT \(StoreRecord.columns) FROM stores WHERE \(condition)",
      [.text(text)], deadline: deadline)
    guard let row = rows.first else { return nil }
    return try StoreRecord(row)
  }

  /// A store with those of its transitions that came after `revision`, in order.
  package func history(
    _ id: String, after revision: Int64, tenant: String, deadline: Instant
  ) async throws(PostgresError) -> (store: StoreRecord, transitions: [StoreTransitionRecord])? {
    let results = try await pool.pipeline(scope: .tenant(tenant), deadline: deadline) { pipeline in
      // Read first: a transition made between the two is shown with a store that is older, and once
      // more with the next change.
      pipeline.query("SELECT \(StoreRecord.columns) FROM stores WHERE id = $1", [.text(id)])
      pipeline.query(
        """
        SELECT revision, version, state, operation, error_code, error_message, error_retryable,
          error_user_fault, occurred_at
        FROM store_transitions WHERE store = $1 AND revision > $2 ORDER BY revision
        """, [.text(id), .int8(revision)])
    }
    guard let row = results[0].first else { return nil }
    var transitions: [StoreTransitionRecord] = []
    for row in results[1] { transitions.append(try StoreTransitionRecord(row)) }
    return (try StoreRecord(row), transitions)
  }

  /// - Parameter states: empty for all but the deleted.
  package func list(
    states: Set<StoreState>, after position: ListPosition?, count: Int, tenant: String,
    deadline: Instant
  ) async throws(PostgresError) -> ListPage<StoreRecord> {
    let shown = states.isEmpty ? Set(StoreState.allCases).subtracting([.deleted]) : states
    let rows = try await pool.query(
      scope: .tenant(tenant),
      """
      SELECT \(StoreRecord.columns) FROM stores
      WHERE state = ANY ($1::text[])
        AND ($2::timestamptz IS NULL OR (created_at, id) < ($2::timestamptz, $3::text))
      ORDER BY created_at DESC, id DESC LIMIT $4
      """,
      [
        .textArray(shown.map(\.rawValue)), .timestamp(position?.createdAt),
        .text(position?.id ?? ""), .int8(Int64(count + 1)),
      ], deadline: deadline)
    var stores: [StoreRecord] = []
    for row in rows.prefix(count) { stores.append(try StoreRecord(row)) }
    let next = rows.count > count ? stores.last : nil
    return ListPage(
      items: stores, next: next.map { ListPosition(createdAt: $0.createdAt, id: $0.id) })
  }

  package func findOperation(
    _ id: PostgresUUID, tenant: String, deadline: Instant
  ) async throws -> OperationRecord? {
    try await pool.withTransaction(
      scope: .tenant(tenant), isolation: .repeatableRead, deadline: deadline
    ) { transaction in
      try await OperationRows.find(id, in: transaction)
    }
  }

  /// - Parameters:
  ///   - store: only the operations of this one.
  ///   - states: empty for all.
  package func listOperations(
    of store: StoreReference?, states: Set<OperationState>, after position: ListPosition?,
    count: Int, tenant: String, deadline: Instant
  ) async throws -> ListPage<OperationRecord> {
    try await pool.withTransaction(
      scope: .tenant(tenant), isolation: .repeatableRead, deadline: deadline
    ) { transaction in
      let storeID = try await self.id(of: store, in: transaction)
      let rows = try await transaction.query(
        """
        SELECT \(OperationRecord.columns) FROM operations
        WHERE ($1::text IS NULL OR store = $1) AND (cardinality($2::text[]) = 0 OR state = ANY ($2))
          AND ($3::timestamptz IS NULL OR (created_at, id) < ($3::timestamptz, $4::uuid))
        ORDER BY created_at DESC, id DESC LIMIT $5
        """,
        [
          .text(storeID), .textArray(states.map(\.rawValue)), .timestamp(position?.createdAt),
          .uuid(position.flatMap { PostgresUUID($0.id) }), .int8(Int64(count + 1)),
        ])
      return try await self.page(rows, count, in: transaction)
    }
  }

  /// - Throws: `StoreRefusal.notFound`.
  func id(
    of store: StoreReference?, in transaction: PostgresTransaction
  ) async throws -> String? {
    guard let (condition, text) = store?.condition else { return nil }
    let rows = try await transaction.query(
      "SELECT id FROM stores WHERE \(condition)", [.text(text)])
    guard let row = rows.first else { throw StoreRefusal.notFound }
    return try row.decode("id")
  }

  private func page(
    _ rows: PostgresRows, _ count: Int, in transaction: PostgresTransaction
  ) async throws(PostgresError) -> ListPage<OperationRecord> {
    var operations: [OperationRecord] = []
    for row in rows.prefix(count) { operations.append(try OperationRecord(row, steps: [])) }
    let steps = try await transaction.query(
      """
      SELECT \(StepRecord.columns) FROM operation_steps WHERE operation = ANY ($1::uuid[])
      ORDER BY operation, position
      """, [.uuidArray(operations.map(\.id))])
    var byOperation: [PostgresUUID: [StepRecord]] = [:]
    for row in steps {
      byOperation[try row.decode("operation"), default: []].append(try StepRecord(row))
    }
    for index in operations.indices {
      operations[index].steps = byOperation[operations[index].id] ?? []
    }
    let next = rows.count > count ? operations.last : nil
    return ListPage(
      items: operations,
      next: next.map { ListPosition(createdAt: $0.createdAt, id: $0.id.description) })
  }
}
