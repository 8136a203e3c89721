import Contracts
import Observability
import Postgres
import RPC
import Reactor
import ServiceRuntime

/// What the events of one call have in common: who called, when, and in which request.
struct EventOrigin {
  private let microseconds: Int64
  private let actor: AuditV1.Actor

  init(_ context: ServerContext, microseconds: Int64) {
    self.microseconds = microseconds
    if let caller = context[Caller.self] {
      actor = AuditV1.Actor(kind: .user, id: caller.subject)
    } else {
      actor = AuditV1.Actor(
        kind: .service, id: context.peerIdentity?.spiffe ?? "",
        address: context.peerAddress.map { "\($0)" } ?? "")
    }
  }

  func event(
    _ action: String, tenant: TenantID, store: StoreID?, details: GoogleProtobuf.Struct
  ) -> AuditV1.Event {
    let request = RequestContext.current
    return AuditV1.Event(
      id: "\(PostgresUUID.random())", tenant: tenant.text, store: store?.text ?? "",
      action: action,
      occurTime: GoogleProtobuf.Timestamp(microsecondsSince1970: microseconds), actor: actor,
      requestID: request?.requestID.text ?? "",
      traceID: request?.trace.map { "\($0.traceID)" } ?? "", service: "config", details: details)
  }
}
