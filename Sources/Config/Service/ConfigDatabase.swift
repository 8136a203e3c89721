import Contracts
import Logging
import Postgres
import RPC
import RPCCore
import Reactor
import ServiceRuntime

/// A transaction under way, for one tenant, in which every change leaves its event.
struct ConfigTransaction {
  private static let events = AuditEventSource(service: .config)

  let postgres: PostgresTransaction
  fileprivate let actor: AuditV1.Actor?
  fileprivate let occurred: GoogleProtobuf.Timestamp

  /// Has audit told of a change once it is committed.
  func record(
    _ action: String, tenant: TenantID, store: StoreID? = nil, details: GoogleProtobuf.Struct
  ) async throws {
    var event = Self.events.event(action, tenant: tenant.text, actor: actor, occurred: occurred)
    event.store = store?.text ?? ""
    event.details = details
    try await OutboxWriter().append(event, in: postgres)
  }
}

/// The database as handlers use it: transactions in a tenant's scope, by the call's deadline, whose
/// failures are errors for the caller.
struct ConfigDatabase {
  let pool: PostgresPool
  let worker: PostgresPool
  let logger: Logger
  let now: () -> Int64

  func transaction<R>(
    of tenant: TenantID, _ context: ServerContext,
    _ body: (ConfigTransaction) async throws -> R
  ) async throws -> R {
    let occurred = GoogleProtobuf.Timestamp(microsecondsSince1970: now())
    return try await answering {
      try await self.pool.withTransaction(
        scope: .tenant(tenant.text), deadline: context.databaseDeadline
      ) {
        try await body(
          ConfigTransaction(postgres: $0, actor: context.actor, occurred: occurred))
      }
    }
  }

  /// Runs `body`, and turns what it throws into what the caller is told.
  func answering<R>(_ body: () async throws -> R) async throws -> R {
    do {
      return try await body()
    } catch let error as ConfigError {
      switch error {
      case .damaged, .keyMissing:
        logger.error("a stored secret cannot be read", metadata: ["reason": "\(error)"])
      default: break
      }
      throw RPCError(error)
    } catch let error as PostgresError {
      guard let answer = RPCError(database: error) else { throw error }
      logger.warning("database", metadata: ["reason": "\(error)"])
      throw answer
    }
  }
}

/// What `body` makes of a request; what is wrong with it as the caller is told.
func validated<R>(_ body: () throws -> R) throws -> R {
  do {
    return try body()
  } catch let error as ConfigError {
    throw RPCError(error)
  } catch let violation as FieldViolation {
    throw RPCError.invalidArgument([violation])
  }
}

extension PageToken {
  /// The name to go on after: the empty text, which precedes every name, for the first page.
  func name(_ text: String) throws(FieldViolation) -> String {
    guard let key = try decode(text) else { return "" }
    guard key.count == 1, !key[0].utf8.contains(0) else { throw Self.violation }
    return key[0]
  }
}

extension RPCError {
  init(_ error: ConfigError) {
    let message = "\(error)"
    self =
      switch error {
      case .invalid(let field, let description):
        .invalidArgument(field: field, description: description)
      case .tenantNotFound(let tenant): .notFound("tenant", tenant)
      case .tenantExists(let tenant): .alreadyExists("tenant", tenant)
      case .requestIDTaken:
        .invalidArgument(
          field: "request_id",
          description: "it was used for a request with other values; make a new one for each "
            + "request")
      case .secretNotFound(let name): .notFound("secret", name.text)
      case .versionMismatch(let name, _, let current):
        .about(
          "secret", name.text, .aborted, reason: "VERSION_MISMATCH", message,
          metadata: ["current_version": "\(current)"])
      case .etagMismatch: RPCError(.aborted, reason: "ETAG_MISMATCH", message)
      case .limitReached(let limit, _, _): .limitReached(limit, message)
      case .damaged: RPCError(.dataLoss, reason: "SECRET_DAMAGED", message)
      case .keyMissing, .wrongPlatformKey:
        RPCError(.failedPrecondition, reason: "KEY_MISSING", message)
      }
  }
}
