import Configuration
import Contracts
import JSON
import Observability
import Postgres
import ServiceRuntime

// What the contracts say of what the domain has, and the other way round.

extension ProvisionerV1.Store {
  /// - Parameter address: of the front page.
  init(_ store: StoreRecord, address: HostURLTemplate) {
    self.init(
      id: store.id, name: store.name, tenant: store.tenant, engine: .init(store.engine),
      state: .init(store.state), parameters: .init(store.parameters), host: store.host,
      url: address.url(host: store.host) + "/", error: store.problem.map { .init($0) },
      revision: store.revision, operation: store.operation.description,
      namespace: store.namespace, createTime: .init(store.createdAt),
      updateTime: .init(store.updatedAt), readyTime: store.readyAt.map { .init($0) },
      deleteTime: store.deletedAt.map { .init($0) }, etag: EntityTag.text(store.version),
      release: Int32(clamping: store.release ?? 0), suspended: store.isSuspended,
      driftPolicy: .init(store.driftPolicy), cluster: store.cluster,
      backupSchedule: .init(store.backupSchedule))
    if store.state == .ready, !store.isSuspended {
      backupDueTime = store.backupDueAt.map { .init($0) }
    }
    conditions = store.conditions.map { .init($0) }
  }

  /// The store as it was after one of its transitions.
  init(_ store: StoreRecord, at transition: StoreTransitionRecord, address: HostURLTemplate) {
    self.init(store, address: address)
    state = .init(transition.state)
    revision = transition.revision
    operation = transition.operation.description
    error = transition.problem.map { .init($0) }
    updateTime = .init(transition.occurredAt)
    etag = EntityTag.text(transition.version)
    if transition.state != .deleted { deleteTime = nil }
  }
}

extension ProvisionerV1.Condition {
  init(_ record: StoreConditionRecord) {
    let condition = record.condition
    self.init(
      type: condition.kind.rawValue,
      status: condition.isTrue ? .true : condition.isFalse ? .false : .unknown,
      reason: condition.reason, message: condition.message,
      transitionTime: .init(record.changedAt))
  }
}

extension ProvisionerV1.Release {
  init(_ release: StoreReleaseRecord, isCurrent: Bool) {
    self.init(
      number: Int32(clamping: release.number), chart: release.chart,
      parameters: .init(release.parameters), operation: release.operation.description,
      createTime: .init(release.createdAt), current: isCurrent)
  }
}

extension ProvisionerV1.Backup {
  init(_ backup: BackupRecord) {
    self.init(
      id: backup.id.description, store: backup.store, storeName: backup.storeName,
      engine: .init(backup.engine), state: .init(backup.state),
      sizeBytes: backup.contents?.bytes ?? 0, sha256: backup.contents?.sha256 ?? "",
      chart: backup.chart ?? "", operation: backup.operation.description,
      createTime: .init(backup.createdAt), endTime: backup.endedAt.map { .init($0) },
      testTime: backup.testedAt.map { .init($0) },
      testError: backup.testProblem.map { .init($0) })
  }
}

extension ProvisionerV1.Backup.State {
  init(_ state: BackupRecord.State) {
    self =
      switch state {
      case .creating: .creating
      case .available: .available
      case .deleting: .deleting
      }
  }
}

/// The version of a store as an etag: in quotation marks, as HTTP has them.
enum EntityTag {
  static func text(_ version: Int64) -> String { "\"\(version)\"" }

  /// Nil for the empty text: any version.
  static func version(_ text: String) throws(InvalidField) -> Int64? {
    if text.isEmpty { return nil }
    guard text.count >= 3, text.hasPrefix("\""), text.hasSuffix("\""),
      let version = Int64(text.dropFirst().dropLast())
    else { throw InvalidField("etag", "is not one that a store has; pass it on as it was given") }
    return version
  }
}

extension ProvisionerV1.Engine {
  init(_ engine: StoreEngine) {
    self =
      switch engine {
      case .woocommerce: .woocommerce
      case .medusa: .medusa
      }
  }
}

extension ProvisionerV1.DriftPolicy {
  init(_ policy: DriftPolicy) {
    self =
      switch policy {
      case .correct: .correct
      case .report: .report
      }
  }

  /// Nil where none is named.
  func domain() throws(InvalidField) -> DriftPolicy? {
    switch self {
    case .correct: return .correct
    case .report: return .report
    case .unspecified: return nil
    case .unrecognized:
      throw InvalidField("drift_policy", "give one of DRIFT_POLICY_CORRECT, DRIFT_POLICY_REPORT")
    }
  }
}

extension ProvisionerV1.BackupSchedule {
  init(_ schedule: BackupSchedule) {
    switch schedule {
    case .standard: self.init()
    case .never: self.init(never: true)
    case .every(let interval): self.init(interval: .init(seconds: interval.components.seconds))
    }
  }

  func domain() throws(InvalidField) -> BackupSchedule {
    guard let interval else { return never ? .never : .standard }
    if never {
      throw InvalidField("backup_schedule", "has an interval and is never; give one of the two")
    }
    let path = "backup_schedule.interval"
    guard let duration = interval.duration else {
      throw InvalidField(path, "is no duration; give seconds, such as 86400s")
    }
    let schedule = BackupSchedule.every(duration)
    try schedule.check(at: path)
    return schedule
  }
}

extension ProvisionerV1.Store.State {
  init(_ state: StoreState) {
    self =
      switch state {
      case .requested: .requested
      case .provisioning: .provisioning
      case .ready: .ready
      case .failed: .failed
      case .deleting: .deleting
      case .deleted: .deleted
      }
  }

  func domain(_ path: String) throws(InvalidField) -> StoreState {
    switch self {
    case .requested: return .requested
    case .provisioning: return .provisioning
    case .ready: return .ready
    case .failed: return .failed
    case .deleting: return .deleting
    case .deleted: return .deleted
    case .unspecified, .unrecognized: throw InvalidField(path, "is no state of a store")
    }
  }
}

extension ProvisionerV1.Problem {
  init(_ problem: StoreProblem) {
    self.init(
      code: problem.code, message: problem.message, retryable: problem.isRetryable,
      userFault: problem.isUserFault)
  }
}

extension ProvisionerV1.StoreParameters {
  init(_ parameters: StoreParameters) {
    self.init(
      title: parameters.title, adminEmail: parameters.adminEmail, plan: parameters.plan,
      values: parameters.values.isEmpty ? nil : GoogleProtobuf.Struct(parameters.values))
  }
}

extension StoreParameters {
  init(_ message: ProvisionerV1.StoreParameters) throws(FieldViolation) {
    self.init(
      title: message.title, adminEmail: message.adminEmail, plan: message.plan,
      values: try JSONObject(message.values ?? GoogleProtobuf.Struct(), path: "parameters.values"))
  }
}

extension ProvisionerV1.Operation {
  init(_ operation: OperationRecord) {
    self.init(
      id: operation.id.description, store: operation.store, kind: .init(operation.kind),
      state: .init(operation.state), done: operation.state.isDone,
      steps: operation.steps.map { .init($0) }, error: operation.problem.map { .init($0) },
      progressPercent: Int32(operation.progressPercent), requestID: operation.request.requestID,
      revision: operation.revision, createTime: .init(operation.createdAt),
      startTime: operation.startedAt.map { .init($0) }, updateTime: .init(operation.updatedAt),
      endTime: operation.endedAt.map { .init($0) }, cancelRequested: operation.isCancelRequested,
      release: Int32(clamping: operation.aim.release ?? 0),
      remedies: operation.aim.remedies?.description ?? "",
      backup: operation.aim.backup?.description ?? "", scheduled: operation.isScheduled)
  }
}

extension ProvisionerV1.Operation.Kind {
  init(_ kind: OperationKind) {
    self =
      switch kind {
      case .provision: .provision
      case .delete: .delete
      case .upgrade: .upgrade
      case .rollback: .rollback
      case .suspend: .suspend
      case .resume: .resume
      case .backup: .backup
      case .restore: .restore
      case .backupTest: .backupTest
      }
  }
}

extension ProvisionerV1.Operation.State {
  init(_ state: OperationState) {
    self =
      switch state {
      case .pending: .pending
      case .running: .running
      case .succeeded: .succeeded
      case .failed: .failed
      case .cancelled: .cancelled
      }
  }

  func domain(_ path: String) throws(InvalidField) -> OperationState {
    switch self {
    case .pending: return .pending
    case .running: return .running
    case .succeeded: return .succeeded
    case .failed: return .failed
    case .cancelled: return .cancelled
    case .unspecified, .unrecognized: throw InvalidField(path, "is no state of an operation")
    }
  }
}

extension ProvisionerV1.Step {
  init(_ step: StepRecord) {
    self.init(
      name: step.step.rawValue, state: .init(step.state), attempts: Int32(clamping: step.attempts),
      startTime: step.startedAt.map { .init($0) }, endTime: step.endedAt.map { .init($0) },
      nextAttemptTime: step.nextAttemptAt.map { .init($0) }, detail: step.detail,
      error: step.problem.map { .init($0) })
  }
}

extension ProvisionerV1.Step.State {
  init(_ state: StepState) {
    self =
      switch state {
      case .pending: .pending
      case .running: .running
      case .waiting: .waiting
      case .succeeded: .succeeded
      case .failed: .failed
      case .skipped: .skipped
      }
  }
}

extension GoogleProtobuf.Timestamp {
  init(_ time: PostgresTimestamp) { self.init(microsecondsSince1970: time.microseconds) }
}
