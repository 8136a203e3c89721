import Contracts
import Observability
import Postgres
import ServiceRuntime

/// The audit events of stores.
enum StoreEventMessage {
  static let action = "store.transition"
  static let cancellation = "operation.cancel"
  static let beginning = "operation.begin"
  static let end = "operation.end"
  static let drift = "store.drift"
  static let update = "store.update"
  static let backupDeletion = "backup.delete"
  private static let source = AuditEventSource(service: .provisioner)

  static func event(
    store: StoreRecord, from previous: StoreState?, _ event: StoreEvent?,
    _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var details: GoogleProtobuf.Struct = [:]
    details["event"] = GoogleProtobuf.Value(event?.rawValue ?? "create")
    if let problem = store.problem {
      details["error_code"] = GoogleProtobuf.Value(problem.code)
      details["error_message"] = GoogleProtobuf.Value(problem.message)
    }
    if let principal = origin.request.principal, origin.actor.kind == .service {
      details["requested_by"] = GoogleProtobuf.Value(principal)
    }
    var message = base(
      action, store, store.operation, origin,
      occurred: GoogleProtobuf.Timestamp(microsecondsSince1970: store.updatedAt.microseconds))
    message.previousState = previous?.rawValue ?? ""
    message.newState = store.state.rawValue
    message.details = details
    return message
  }

  /// Somebody asks for an operation to be stopped; what comes of it is told when it has ended.
  static func cancellation(
    of operation: OperationRecord, on store: StoreRecord, _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var message = base(cancellation, store, operation.id, origin, occurred: nil)
    message.details = ["kind": GoogleProtobuf.Value(operation.kind.rawValue)]
    return message
  }

  /// Work on a ready store was asked for.
  static func began(
    _ operation: OperationRecord, on store: StoreRecord, _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var message = base(beginning, store, operation.id, origin, occurred: nil)
    message.details = details(operation)
    return message
  }

  /// It has ended.
  static func ended(_ operation: OperationRecord, on store: StoreRecord) -> AuditV1.Event {
    var message = base(end, store, operation.id, .engine(operation.request), occurred: nil)
    var details = details(operation)
    details["outcome"] = GoogleProtobuf.Value(operation.state.rawValue)
    if let problem = operation.problem {
      details["error_code"] = GoogleProtobuf.Value(problem.code)
      details["error_message"] = GoogleProtobuf.Value(problem.message)
    }
    if let principal = operation.request.principal {
      details["requested_by"] = GoogleProtobuf.Value(principal)
    }
    message.details = details
    return message
  }

  /// What was found at a look at the store, or that it is gone.
  ///
  /// - Parameter operation: the correction that it leads to, else the last one on the store.
  static func drift(
    _ condition: StoreCondition, on store: StoreRecord, _ operation: PostgresUUID,
    _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var message = base(drift, store, operation, origin, occurred: nil)
    message.details = [
      "reason": GoogleProtobuf.Value(condition.reason),
      "message": GoogleProtobuf.Value(condition.message),
    ]
    return message
  }

  /// Somebody changed how the store is looked after.
  static func updated(_ store: StoreRecord, _ origin: ChangeOrigin) -> AuditV1.Event {
    var message = base(update, store, store.operation, origin, occurred: nil)
    let interval = store.backupSchedule.stored.map { $0 == 0 ? "never" : "\($0)s" }
    message.details = [
      "drift_policy": GoogleProtobuf.Value(store.driftPolicy.rawValue),
      "backup_interval": GoogleProtobuf.Value(interval ?? "standard"),
    ]
    return message
  }

  /// Somebody does not want a backup any more.
  static func deletion(
    of backup: BackupRecord, _ store: StoreRecord, _ origin: ChangeOrigin
  ) -> AuditV1.Event {
    var message = base(backupDeletion, store, backup.operation, origin, occurred: nil)
    message.details = ["backup": GoogleProtobuf.Value(backup.id.description)]
    return message
  }

  private static func details(_ operation: OperationRecord) -> GoogleProtobuf.Struct {
    var details: GoogleProtobuf.Struct = ["kind": GoogleProtobuf.Value(operation.kind.rawValue)]
    if let release = operation.aim.release {
      details["release"] = GoogleProtobuf.Value(integerLiteral: release)
    }
    if let remedied = operation.aim.remedies {
      details["remedies"] = GoogleProtobuf.Value(remedied.description)
    }
    if let backup = operation.aim.backup {
      details["backup"] = GoogleProtobuf.Value(backup.description)
    }
    return details
  }

  private static func base(
    _ action: String, _ store: StoreRecord, _ operation: PostgresUUID, _ origin: ChangeOrigin,
    occurred: GoogleProtobuf.Timestamp?
  ) -> AuditV1.Event {
    // The request that led to it may have been answered long ago.
    var generator = SystemRandomNumberGenerator()
    let request = RequestContext(restoring: origin.request, using: &generator)
    var message = request.run {
      source.event(action, tenant: store.tenant, actor: origin.actor, occurred: occurred)
    }
    message.store = store.id
    message.storeName = store.name
    message.revision = store.revision
    message.operation = operation.description
    return message
  }
}
