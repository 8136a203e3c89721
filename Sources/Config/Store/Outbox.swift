import Contracts
import Postgres
import Protobuf

/// Writes audit events where the transaction of the change they tell of leaves them for delivery.
struct Outbox {
  /// `transaction` is in the scope of the event's tenant.
  func append(_ event: AuditV1.Event, in transaction: PostgresTransaction) async throws {
    guard let id = PostgresUUID(event.id) else {
      throw PostgresError(.misuse, "the event's id is no UUID")
    }
    try await transaction.query(
      "INSERT INTO outbox (id, tenant, payload) VALUES ($1, $2, $3)",
      [.uuid(id), .text(event.tenant), .bytea(event.serialized())])
  }
}
