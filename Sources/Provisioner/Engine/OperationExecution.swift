import Configuration
import Logging
import Observability
import Postgres
import Reactor
import Resilience

/// The work on one claimed operation, from where it stands to its end or until it is given back.
///
/// Whatever goes wrong with the database on the way, the execution stops and lets the lease go: what is
/// written there is the truth, and the next holder goes on from it.
final class OperationExecution {
  /// What an execution needs of its runner.
  struct Environment {
    let ledger: OperationLedger
    let backend: any StoreBackend
    let breakers: DependencyBreakers
    let settings: EngineSettings
    let clock: any TimeSource
    let reactor: Reactor
    let logger: Logger
    let metrics: EngineMetrics
  }

  /// How the work on a step leaves the operation.
  private enum Passage {
    case next
    /// Ended, or given back.
    case over
  }

  let lease: OperationLease
  private let environment: Environment
  private var effect: SideEffect?
  /// Why the work ends early, once it does.
  private var ending: OperationLease.Ending?
  /// Of `StoreSite`.
  private var releasedAt: Int64?
  /// What the step under way has made of the release.
  private var installed: InstalledRelease?
  /// What it has seen of the backup.
  private var contents: BackupContents?
  /// Whether the store has its certificate, once it was asked.
  private var certificate: StoreCondition?
  private var usesBackup = false
  /// What the step under way has waited for last.
  private var lastDetail = ""
  private var generator = SystemRandomNumberGenerator()

  private var claim: Claim { lease.claim }
  private var ledger: OperationLedger { environment.ledger }
  private var settings: EngineSettings { environment.settings }

  init(_ lease: OperationLease, _ environment: Environment) {
    self.lease = lease
    self.environment = environment
    lease.onEnd = { [unowned self] in stop($0) }
  }

  /// Stops the side effects under way, and the work with them.
  func stop(_ ending: OperationLease.Ending) {
    // A deletion is not cancelled, and what is lost is lost whatever else happens.
    if ending == .cancelled && claim.kind == .delete { return }
    if self.ending == nil || ending == .lost { self.ending = ending }
    effect?.stop(ending)
  }

  /// Works until the operation ends, or is given back, or the lease is over.
  func run() async {
    defer { lease.end() }
    do {
      let task = try await ledger.begin(claim)
      let context = RequestContext(restoring: task.operation.request, using: &generator)
      try await RequestScope.$current.bound(to: context.scope) { try await self.work(on: task) }
    } catch StoreRefusal.leaseLost {
      log(.notice, "lease lost")
    } catch {
      log(.error, "operation interrupted", ["reason": "\(error)"])
      await release(after: OperationRunner.failureWait)
    }
  }

  private func work(on task: OperationTask) async throws {
    if task.operation.isCancelRequested { lease.cancel() }
    usesBackup = task.operation.aim.backup != nil
    let release = task.operation.steps.first { $0.step.startsPods }
    releasedAt = release?.startedAt.map { $0.microseconds / 1_000_000 }
    if ending == nil, claim.wasInterrupted, settings.recovery == .fail,
      let step = task.operation.nextStep
    {
      return try await fail(ProvisionFailure(.interrupted), at: step)
    }
    log(
      .info, claim.wasInterrupted ? "operation taken over" : "operation taken up",
      ["kind": "\(claim.kind.rawValue)"])
    for record in task.operation.steps where !record.state.isOver {
      if let ending { return try await end(ending) }
      if task.isAbandoned, claim.kind == .delete, record.step.isOnCluster {
        try await ledger.skip(claim, record.step, detail: "the cluster was given up as lost")
        continue
      }
      if isOutOfTime(task.operation) {
        return try await fail(
          ProvisionFailure(.operationTimedOut, record.problem?.message ?? record.detail),
          at: record.step)
      }
      if case .over = try await perform(record, task) { return }
    }
    if let ending, ending != .shutdown { return try await end(ending) }
    try await ledger.finish(claim, .succeeded, certificate: certificate)
    finished(.succeeded)
    log(.notice, "operation succeeded", ["kind": "\(claim.kind.rawValue)"])
  }

  // MARK: Steps

  private func perform(_ record: StepRecord, _ task: OperationTask) async throws -> Passage {
    let step = record.step
    guard record.attempts < settings.attemptsMax else {
      try await fail(
        ProvisionFailure(
          .interrupted,
          "the step '\(step.rawValue)' was begun \(record.attempts) times (attemptsMax)"),
        at: step)
      return .over
    }
    let permit: DependencyBreakers.Permit?
    switch environment.breakers.admit(step.dependency, in: task.store.cluster) {
    case .admitted(let given): permit = given
    case .rejected(let wait):
      try await waitForBreaker(step, wait)
      return .over
    }
    do {
      try await ledger.beginAttempt(claim, step)
    } catch {
      environment.breakers.record(.inconclusive, for: permit)
      throw error
    }
    lease.check()
    if let ending {
      environment.breakers.record(.inconclusive, for: permit)
      try await end(ending)
      return .over
    }
    let outcome = await attempt(step, task)
    environment.breakers.record(verdict(outcome, of: step), for: permit)
    return try await settle(outcome, record)
  }

  private func attempt(_ step: OperationStep, _ task: OperationTask) async -> SideEffect.Outcome {
    if step.startsPods { releasedAt = releasedAt ?? environment.clock.wallNow.seconds }
    installed = nil
    contents = nil
    lastDetail = ""
    let site = StoreSite(task, claim, releasedAt: releasedAt)
    let backend = environment.backend
    let effect = SideEffect(on: environment.reactor, grace: settings.stopGrace) { [lease] in
      // Whatever it was stopped for: on a machine that slept, what had come before is worked off first.
      lease.check()
      await backend.abandon(site, isLate: lease.isLost)
    }
    self.effect = effect
    defer { self.effect = nil }
    let begin = Instant.now()
    let outcome = await effect.run(timeout: settings.stepTimeout ?? step.timeout) {
      try await self.call(step, site)
    }
    environment.metrics.attempted(step, outcome, Instant.now() - begin)
    return outcome
  }

  private func call(_ step: OperationStep, _ site: StoreSite) async throws(ProvisionFailure) {
    let backend = environment.backend
    switch step {
    case .namespace: try await backend.ensureNamespace(site)
    case .credentials: try await backend.applyCredentials(site)
    case .release: installed = try await backend.installRelease(site)
    case .rollback: installed = try await backend.rollBackRelease(site)
    case .rollout:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.rolloutStatus(of: site, after: previous)
      }
    case .backup:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.backUp(site, after: previous)
      }
    case .backupCheck: contents = try await backend.checkBackup(site)
    case .restore:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.restore(site, after: previous)
      }
    case .backupTest:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.testBackup(site, after: previous)
      }
    case .start:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.start(site, after: previous)
      }
    case .jobRemoval: try await backend.removeJob(site)
    case .setup: try await backend.setUp(site)
    case .verify:
      try await backend.verify(site)
      await lookAtCertificate(site)
    case .check:
      try await backend.check(site)
      await lookAtCertificate(site)
    case .uninstall: try await backend.uninstallRelease(site)
    case .namespaceRemoval: try await backend.deleteNamespace(site)
    case .gone:
      try await follow(step) { previous throws(ProvisionFailure) in
        try await backend.removalStatus(of: site, after: previous)
      }
    case .credentialsRemoval: try await backend.forgetCredentials(site)
    }
  }

  /// Shows each change of something that takes its time, until it is done.
  private func follow(
    _ step: OperationStep,
    _ status: (BackendProgress?) async throws(ProvisionFailure) -> BackendProgress
  ) async throws(ProvisionFailure) {
    var last: BackendProgress?
    while true {
      let progress = try await status(last)
      if progress.isDone { return }
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      guard progress != last else {
        throw ProvisionFailure(.unexpected, "the backend reported '\(progress.detail)' twice")
      }
      last = progress
      lastDetail = progress.detail
      do {
        try await ledger.report(
          claim, step, detail: progress.detail,
          progressPercent: percent(at: step, progress.fraction))
      } catch StoreRefusal.leaseLost {
        lease.lose()
        throw ProvisionFailure(.interrupted)
      } catch {
        // Shown late or never; the step itself goes on.
        log(.warning, "progress not recorded", ["reason": "\(error)"])
      }
      lease.check()
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
    }
  }

  /// What is not known now is seen at the next look for drift.
  private func lookAtCertificate(_ site: StoreSite) async {
    certificate = (try? await environment.backend.certificate(of: site)) ?? nil
  }

  private func percent(at step: OperationStep, _ fraction: Double) -> Int {
    claim.kind.progressPercent(at: step, fraction: fraction, withBackup: usesBackup)
  }

  private func verdict(
    _ outcome: SideEffect.Outcome, of step: OperationStep
  ) -> DependencyVerdict {
    switch outcome {
    case .done: .answered
    case .failed(let failure): ending == nil ? failure.verdict : .inconclusive
    case .timedOut: step.timeoutCode.verdict
    case .stopped: .inconclusive
    }
  }

  private func settle(_ outcome: SideEffect.Outcome, _ record: StepRecord) async throws -> Passage {
    let step = record.step
    switch outcome {
    case .done:
      try await ledger.complete(
        claim, step, installed: installed, contents: contents,
        progressPercent: percent(at: step, 1))
      return .next
    case .failed(let failure): try await retryOrFail(failure, record)
    case .timedOut:
      let limit = settings.stepTimeout ?? step.timeout
      let words = "the step '\(step.rawValue)' has \(limit.components.seconds) s"
      try await retryOrFail(
        ProvisionFailure(step.timeoutCode, lastDetail.isEmpty ? words : "\(words); \(lastDetail)"),
        record)
    case .stopped(let ending, let isQuiet):
      // What still acts must have stopped before anybody goes on: the lease runs out by itself.
      guard isQuiet else {
        log(.error, "side effects did not stop in time", ["step": "\(step.rawValue)"])
        throw StoreRefusal.leaseLost
      }
      try await end(ending)
    }
    return .over
  }

  private func retryOrFail(_ failure: ProvisionFailure, _ record: StepRecord) async throws {
    if let ending { return try await end(ending) }
    // Nobody waits for what is scheduled: it does not take that long several times over.
    let isRetryable =
      failure.code.isRetryable && !(claim.isScheduled && failure.code == .jobTimedOut)
    let decision = settings.retry(of: failure.code).decide(
      after: isRetryable ? .retryable(retryAfter: failure.retryAfter) : .permanent,
      failedAttempts: record.failures + 1, using: &generator)
    var metadata: Logger.Metadata = [
      "step": "\(record.step.rawValue)", "code": "\(failure.code.rawValue)",
    ]
    if !failure.diagnosis.isEmpty { metadata["reason"] = "\(failure.diagnosis)" }
    log(.warning, "step failed", metadata)
    switch decision {
    case .retry(let wait):
      environment.metrics.retried(record.step, failure.code)
      try await ledger.park(
        claim, record.step, for: wait, detail: "failed; tried again soon", problem: failure.problem)
    case .giveUp: try await fail(failure, at: record.step)
    }
  }

  private func waitForBreaker(_ step: OperationStep, _ wait: Duration) async throws {
    let name = step.dependency == .helm ? "Helm" : "the Kubernetes API"
    try await ledger.park(
      claim, step, for: min(wait, settings.breakerWaitMax),
      detail: "waits: \(name) failed several times in a row and is left alone for a while",
      problem: nil)
  }

  // MARK: Ends

  /// The work ends early.
  private func end(_ ending: OperationLease.Ending) async throws {
    switch ending {
    case .lost: throw StoreRefusal.leaseLost
    case .shutdown: await release()
    case .cancelled:
      try await ledger.finish(claim, .cancelled(ProvisionFailure(.cancelled).problem))
      finished(.cancelled)
      log(.notice, "operation cancelled")
    }
  }

  private func fail(_ failure: ProvisionFailure, at step: OperationStep) async throws {
    try await ledger.finish(claim, .failed(failure.problem), at: step)
    finished(.failed)
    log(.error, "operation failed", ["code": "\(failure.code.rawValue)"])
  }

  private func finished(_ state: OperationState) {
    environment.metrics.finished(claim.kind, state, isScheduled: claim.isScheduled)
  }

  /// Gives the operation back, if that can be done; otherwise the lease runs out.
  private func release(after wait: Duration = .zero) async {
    if lease.isLost { return }
    do {
      try await ledger.release(claim, after: wait)
    } catch {
      log(.warning, "operation not given back; its lease runs out", ["reason": "\(error)"])
    }
  }

  private func isOutOfTime(_ operation: OperationRecord) -> Bool {
    guard let startedAt = operation.startedAt else { return false }
    let now = environment.clock.wallNow
    let elapsed = Duration.seconds(now.seconds) - .microseconds(startedAt.microseconds)
    return elapsed > settings.operationTimeout
  }

  private func log(
    _ level: Logger.Level, _ message: Logger.Message, _ metadata: Logger.Metadata = [:]
  ) {
    let identity: Logger.Metadata = [
      "operation": "\(claim.operation)", "store": "\(claim.store)", "fence": "\(claim.fence)",
    ]
    environment.logger.log(
      level: level, message, metadata: identity.merging(metadata) { $1 })
  }
}

extension OperationRecord {
  /// The first step that is not done.
  var nextStep: OperationStep? { steps.first { !$0.state.isOver }?.step }
}
