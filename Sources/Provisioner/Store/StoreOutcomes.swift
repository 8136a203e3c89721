import Postgres
import ServiceRuntime

/// What becomes of a store when an operation on it ends, beside its state: the release it runs, its
/// conditions, and the work that follows.
enum StoreOutcomes {
  /// Writes down what an operation that succeeded has made of the store. To be called before the
  /// store's transition, where there is one: that is the last change watchers are shown.
  ///
  /// - Parameter certificate: nil where the store asks for none, or nothing is known of it.
  static func succeeded(
    _ operation: OperationRecord, on store: StoreRecord, _ certificate: StoreCondition?,
    in transaction: PostgresTransaction
  ) async throws {
    if operation.kind == .backup, !operation.isScheduled {
      try await BackupSchedules.drawAnew(store.id, in: transaction)
    }
    let (release, parameters) = try await released(operation, on: store, in: transaction)
    let conditions = StoreCondition.succeeded(
      operation.kind, release: release, isRemedy: operation.aim.remedies != nil)
    try await update(
      store, operation, conditions + [certificate].compactMap { $0 },
      "parameters = $5, release = $6, suspended = $7",
      [
        .jsonb(parameters.stored), .int8(release.map(Int64.init)),
        .bool(operation.kind == .suspend),
      ], in: transaction)
    if let installed = operation.installed {
      try await StoreReleases.prune(store.id, keeping: release, installed, in: transaction)
    }
  }

  /// The number and the parameters of the release that the store runs after `operation`.
  private static func released(
    _ operation: OperationRecord, on store: StoreRecord, in transaction: PostgresTransaction
  ) async throws -> (Int?, StoreParameters) {
    guard let installed = operation.installed, operation.kind != .suspend else {
      return (store.release, store.parameters)
    }
    var parameters = operation.aim.parameters ?? store.parameters
    if let number = operation.aim.release {
      if number == store.release {
        try await StoreReleases.renew(number, of: store.id, installed, in: transaction)
        return (number, store.parameters)
      }
      guard let target = try await StoreReleases.find(number, of: store.id, in: transaction) else {
        throw StoreRefusal.notFound
      }
      parameters = target.parameters
    }
    let number = try await StoreReleases.add(
      installed, parameters, by: operation.id, to: store, in: transaction)
    return (number, parameters)
  }

  /// Writes down that work on a ready store has not succeeded, and has the store go back to its release
  /// where the work may have changed something and the store is to stay.
  static func unsuccessful(
    _ operation: OperationRecord, _ outcome: OperationOutcome, on store: StoreRecord,
    isToBeDeleted: Bool, in transaction: PostgresTransaction
  ) async throws {
    if outcome == .succeeded { return }
    // Helm has brought it back all the same, to a revision of its own.
    if let installed = operation.installed, let release = store.release,
      operation.aim.release == release
    {
      try await StoreReleases.renew(release, of: store.id, installed, in: transaction)
    }
    let hasActed = operation.steps.contains { $0.step.makesRevision && $0.attempts > 0 }
    let isUndone = operation.kind.isUndone && hasActed && !isToBeDeleted
    let isLeftHalfDone =
      operation.kind == .rollback && hasActed && !isToBeDeleted
      && outcome.failure?.code != FailureCode.releaseGone.rawValue
    let conditions = StoreCondition.unsuccessful(
      operation.kind, outcome.failure, hasActed: hasActed,
      backTo: isUndone ? store.release : nil, current: isLeftHalfDone ? store.release : nil,
      isScheduled: operation.isScheduled
    ).filter {
      // That its data are in doubt is so until something has succeeded.
      $0.kind != .released || !store.isRestoreFailed || operation.kind == .restore
    }
    // What somebody had stopped waits for its next time.
    if operation.isScheduled, case .failed(let problem) = outcome,
      BackupSchedule.isRetried(operation.kind, problem)
    {
      try await BackupSchedules.again(operation.kind, on: store.id, in: transaction)
    }
    let isSuspended = store.isSuspended && !(operation.kind == .resume && hasActed)
    guard isUndone, let release = store.release else {
      return try await update(
        store, operation, conditions, "suspended = $5", [.bool(isSuspended)], in: transaction)
    }
    let remedy = try await OperationRows.insert(
      .rollback, of: store.id, tenant: store.tenant, for: operation.request,
      OperationAim(release: release, remedies: operation.id), in: transaction)
    try await update(store, remedy, conditions, in: transaction)
    let event = StoreEventMessage.began(remedy, on: store, .engine(operation.request))
    try await OutboxWriter().append(event, in: transaction)
  }

  /// - Parameter operation: the one that works on the store, or the last one that did.
  private static func update(
    _ store: StoreRecord, _ operation: OperationRecord, _ conditions: [StoreCondition],
    _ changes: String? = nil, _ parameters: [PostgresParameter] = [],
    in transaction: PostgresTransaction
  ) async throws(PostgresError) {
    let time = try await transaction.query("SELECT clock_timestamp()")[0].decode(
      0, as: PostgresTimestamp.self)
    try await transaction.query(
      """
      UPDATE stores SET version = version + 1, updated_at = $2, operation = $3, conditions = $4
        \(changes.map { ", " + $0 } ?? "")
      WHERE id = $1
      """,
      [
        .text(store.id), .timestamp(time), .uuid(operation.id),
        .jsonb(store.conditions.applying(conditions, at: time).stored),
      ] + parameters)
  }
}
