package import Contracts
import JSON
import Observability
import Postgres
package import RPC
import Reactor
package import Resilience

/// Makes a service's audit events, so that every service fills in the same way who did something, when,
/// in which request and where.
package struct AuditEventSource: Sendable {
  package let service: ServiceIdentity
  private let time: any TimeSource

  package init(service: ServiceIdentity, time: any TimeSource = SystemTimeSource()) {
    self.service = service
    self.time = time
  }

  /// An event with a new id, of the request under way: its id, its trace and, where they are known, its
  /// store and operation. The rest is for the caller to set.
  ///
  /// - Parameters:
  ///   - actor: nil for the principal of the request under way, or the service itself outside any.
  ///   - occurred: nil for now. A time of the database, where one is at hand, orders events of
  ///     several replicas by one clock.
  package func event(
    _ action: String, tenant: String, actor: AuditV1.Actor? = nil,
    occurred: GoogleProtobuf.Timestamp? = nil
  ) -> AuditV1.Event {
    let request = RequestContext.current
    return AuditV1.Event(
      id: PostgresUUID.random().description,
      tenant: tenant,
      store: request?.store ?? "",
      action: action,
      occurTime: occurred ?? now,
      actor: actor ?? request?.principal.flatMap { AuditV1.Actor(principal: $0) }
        ?? .service(service),
      requestID: request?.requestID.text ?? "",
      traceID: request?.trace?.traceID.description ?? "",
      service: service.rawValue,
      operation: request?.operation ?? "")
  }

  private var now: GoogleProtobuf.Timestamp {
    let now = time.wallNow
    return GoogleProtobuf.Timestamp(seconds: now.seconds, nanos: now.nanoseconds)
  }
}

extension AuditV1.Actor {
  /// A service on its own account.
  package static func service(_ identity: ServiceIdentity) -> AuditV1.Actor {
    AuditV1.Actor(kind: .service, id: identity.spiffe)
  }

  /// The person for whom a call is made.
  package static func user(_ caller: Caller) -> AuditV1.Actor {
    AuditV1.Actor(kind: .user, id: caller.subject, address: caller.address)
  }

  /// The principal of a request's context: `user:…`, `key:…` or `service:…`; nil for anything else.
  package init?(principal: String) {
    guard let colon = principal.firstIndex(of: ":") else { return nil }
    let id = String(principal[principal.index(after: colon)...])
    if id.isEmpty { return nil }
    switch principal[..<colon] {
    case "user": self.init(kind: .user, id: id)
    case "key": self.init(kind: .apiKey, id: id)
    case "service": self.init(kind: .service, id: id)
    default: return nil
    }
  }
}

extension ServerContext {
  /// Who an event of this call names: the person it is made for, else the service that made it.
  package var actor: AuditV1.Actor? {
    if let caller = self[Caller.self] { return .user(caller) }
    return callingService.map { .service($0) }
  }
}

extension AuditV1.Event {
  /// An event's details, as JSON.
  package static let detailsBytesMax = 16 * 1024

  /// Details as they are kept.
  ///
  /// - Parameter path: where they stand, for the error that says why they cannot be kept.
  package static func json(
    details: GoogleProtobuf.Struct, path: String
  ) throws(FieldViolation) -> String {
    let text = JSON.object(try JSONObject(details, path: path)).serializedText()
    guard text.utf8.count <= detailsBytesMax else {
      throw FieldViolation(
        path, "\(text.utf8.count) bytes as JSON; at most \(detailsBytesMax) are kept")
    }
    return text
  }
}
