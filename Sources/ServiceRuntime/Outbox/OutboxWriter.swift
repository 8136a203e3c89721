package import Contracts
package import Postgres
import Protobuf

/// Leaves audit events for delivery in the transaction of the change that they tell of: either both
/// last or neither.
package struct OutboxWriter: Sendable {
  /// Bytes of a serialized event, as much as all texts that audit takes may have.
  package static let eventBytesMax = 64 * 1024

  package init() {}

  /// - Parameter transaction: in the scope of the event's tenant.
  /// - Throws: `misuse` for an id that is no UUID and `badValue` for details which audit would refuse,
  ///   so that their author learns of it; `limitReached("eventBytesMax")`.
  package func append(
    _ event: AuditV1.Event, in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    let row = try row(event)
    try await transaction.query(OutboxWriter.statement, row)
  }

  /// As `append`, to be sent with other statements of the transaction: one round trip for all.
  package func append(
    _ event: AuditV1.Event, to pipeline: inout PostgresPipeline
  ) throws(PostgresError) {
    pipeline.query(OutboxWriter.statement, try row(event))
  }

  /// Deliveries hear of it when the transaction commits.
  private static let statement =
    """
    WITH added AS (INSERT INTO outbox (id, tenant, payload) VALUES ($1, $2, $3))
    SELECT pg_notify(current_schema() || '_outbox', '')
    """

  private func row(_ event: AuditV1.Event) throws(PostgresError) -> [PostgresParameter] {
    guard let id = PostgresUUID(event.id) else {
      throw PostgresError(.misuse, "the id of an audit event is no UUID: \(event.action)")
    }
    do throws(FieldViolation) {
      if let details = event.details {
        _ = try AuditV1.Event.json(details: details, path: "details")
      }
    } catch {
      throw PostgresError(
        .badValue, "the audit event \(event.action): \(error.field): \(error.description)")
    }
    let payload = event.serialized()
    guard payload.count <= OutboxWriter.eventBytesMax else {
      throw PostgresError(
        .limitReached("eventBytesMax"),
        "the audit event \(event.action) has \(payload.count) bytes, more than "
          + "\(OutboxWriter.eventBytesMax): put less into its details")
    }
    return [.uuid(id), .text(event.tenant), .bytea(payload)]
  }
}
