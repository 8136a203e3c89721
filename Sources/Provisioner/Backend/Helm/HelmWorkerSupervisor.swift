package import Contracts
import Glibc
package import Logging
import RPC
import RPCCore
package import Reactor

/// How helm-workers are run.
package struct HelmWorkerSettings: Sendable {
  /// The helm-worker program.
  package var program: String
  /// libhelm_c.so, which it loads.
  package var library: String
  /// Calls after which a worker is replaced: Helm's memory grows with its work.
  package var callsMax = 150
  /// What Go's runtime may hold before it gives more of its time to its garbage. What else is resident,
  /// most of it pages of the library's file, is some 70 MB.
  package var goMemoryBytes = 100 * 1024 * 1024
  /// Resident memory above which a worker is replaced after the call that took it there.
  package var residentBytesMax = 200 * 1024 * 1024
  /// Resident memory above which a worker is killed in the middle of its calls. (Go reserves far more
  /// address space than it uses, so RLIMIT_AS cannot be the limit.)
  package var residentBytesHardMax = 384 * 1024 * 1024
  package var residentCheckInterval = Duration.seconds(2)
  /// How long a worker may take until it answers.
  package var startTimeout = Duration.seconds(15)
  /// Before a worker is started after one that failed: doubled with each up to the second.
  package var backoff = Duration.milliseconds(250)
  package var backoffMax = Duration.seconds(30)
  /// Before a call is made again that may have ended its worker, while another such call goes on.
  package var suspectWait = Duration.seconds(2)
  /// Times that a call is made again whose worker ended by itself, though not with this call alone. Those
  /// whose worker was ended for another store's sake do not count: the caller's own time is their limit.
  package var repeatsMax = 2
  /// What an install, upgrade or rollback that was cancelled has to end by itself, before it is ended with
  /// its worker; one of a holder that lost its lease has nothing.
  package var endingWait = Duration.seconds(1)

  package init(program: String, library: String) {
    self.program = program
    self.library = library
  }
}

/// Why there is no helm-worker, or why its answer did not come.
package struct HelmWorkerError: Error, Sendable, CustomStringConvertible {
  package let description: String
  package var retryAfter: Duration?
  /// The worker ended by itself while it worked for one store alone.
  package var isCrash = false
}

/// Keeps a helm-worker running while there are calls: started with the first, again after a crash with
/// growing waits, replaced when it has done or holds much, killed to stop one store's call.
///
/// Confined to its reactor.
package final class HelmWorkerSupervisor {
  private let settings: HelmWorkerSettings
  private let reactor: Reactor
  private let logger: Logger
  /// Made with the first worker.
  private(set) var folder: HelmWorkerFolder?
  private var workers: [HelmWorker] = []
  /// The one that is given calls.
  private var current: HelmWorker?
  private var isStarting = false
  private var waiters: [StartWaiter] = []
  private var failures = 0
  private var nextStart = Instant(nanoseconds: 0)
  /// Of a start.
  private var lastFailure = HelmWorkerError(description: "helm-worker did not start")
  private var isClosed = false
  private var checks: LoopTimer?
  /// Stores whose calls were under way together when a worker ended by itself: one of them may have
  /// ended it. Each has a worker of its own until one of its calls is answered.
  private var suspects: Set<String> = []
  private static let suspectsMax = 256
  private var isTryingSuspect = false
  /// The installs and upgrades under way, by store.
  private var lastingCalls: [String: LastingCall] = [:]

  /// A call that waits for a worker to start.
  private typealias StartWaiter = Waiter<Result<HelmWorker, HelmWorkerError>>

  /// How many were started.
  package private(set) var starts = 0

  package init(
    _ settings: HelmWorkerSettings, reactor: Reactor, logger: Logger
  ) {
    self.settings = settings
    self.reactor = reactor
    self.logger = logger
  }

  /// The process that is given calls; nil while none runs.
  package var processID: Int32? { current?.process.id }

  /// Ends all workers, and with them their calls.
  package func close() async {
    isClosed = true
    checks.map { reactor.loop.cancel($0) }
    for worker in workers {
      worker.kill()
      await worker.process.ended(on: reactor)
    }
    folder?.remove()
  }

  // MARK: Calls

  /// Makes a call for a store. It must do no harm when it is made twice, the second time after the
  /// first was cut off anywhere.
  ///
  /// What it throws as its own error, and not as the call's, is thrown on.
  ///
  /// - Parameters:
  ///   - store: its id, or what else is to be abandoned together.
  ///   - isReadOnly: what does not end in time is left to its worker, which may be busy with others.
  package func call<R>(
    _ store: String, isReadOnly: Bool = false,
    _ body: (HelmWorkerV1.HelmServiceClient) async throws -> R
  ) async throws -> R {
    var repeats = 0
    while true {
      let isSuspect = suspects.contains(store)
      let worker = try await (isSuspect ? workerOfItsOwn() : runningWorker()).get()
      defer { if isSuspect { isTryingSuspect = false } }
      worker.begin(store)
      do {
        let result = try await body(worker.client)
        settle(worker, store, .answered)
        return result
      } catch let error as RPCError where Self.isOurs(error) {
        let isAlone = worker.storesAtEnd == 1
        settle(worker, store, .unanswered)
        // Cancelled: the worker may be at work on it until the store is abandoned.
        if Task.isCancelled || error.code == .cancelled { throw error }
        if isReadOnly, error.code == .deadlineExceeded { throw error }
        // Else it is at work on it no longer than this, and the caller may go on from there.
        worker.kill(abandoning: error.code == .deadlineExceeded ? store : nil)
        await worker.process.ended(on: reactor)
        if error.code == .deadlineExceeded { throw error }
        if let abandoned = worker.abandonedStore, abandoned != store, !Task.isCancelled { continue }
        let endedByItself = worker.abandonedStore == nil
        let hasCrashed = endedByItself && !worker.isRetired
        if hasCrashed, !isAlone { suspect(store) }
        repeats += 1
        guard endedByItself, worker.isRetired || !isAlone, repeats <= settings.repeatsMax,
          !Task.isCancelled
        else {
          throw HelmWorkerError(
            description: "helm-worker \(worker.process.ending)", isCrash: hasCrashed && isAlone)
        }
      } catch {
        settle(worker, store, error is RPCError ? .answered : .notMade)
        throw error
      }
    }
  }

  /// Makes, within `call`, a call that goes on where the task is cancelled, since Helm does: it is told to
  /// stop by nothing but the end of its worker. It need not come to that where it ends soon by itself,
  /// for which `abandon` waits.
  package func lasting<R>(
    _ store: String, _ body: @escaping () async throws -> R
  ) async throws -> R {
    try Task.checkCancellation()
    let call = LastingCall()
    var result: Result<R, any Error>?
    lastingCalls[store] = call
    reactor.loop.spawn(on: reactor) {
      do {
        result = .success(try await body())
        call.end(isAnswered: true)
      } catch {
        result = .failure(error)
        call.end(isAnswered: (error as? RPCError).map { !Self.isOurs($0) } ?? false)
      }
      if call.isLeft { self.settle(call, store) }
    }
    await call.wait(on: reactor)
    guard let result else {
      call.isLeft = true
      throw RPCError(.cancelled, "the caller was cancelled")
    }
    settle(call, store)
    return try result.get()
  }

  private func settle(_ call: LastingCall, _ store: String) {
    if lastingCalls[store] === call { lastingCalls[store] = nil }
    // Whoever left it did not know.
    if call.isLeft, call.isAnswered == true { for worker in workers { worker.answered(store) } }
  }

  private func suspect(_ store: String) {
    if suspects.count >= Self.suspectsMax { suspects = [] }
    suspects.insert(store)
  }

  /// A worker that is given one call: whether that ends it is seen then.
  private func workerOfItsOwn() async -> Result<HelmWorker, HelmWorkerError> {
    if isClosed || isTryingSuspect {
      return .failure(
        HelmWorkerError(
          description: "helm-worker ended by itself; the calls that it had are made one by one",
          retryAfter: settings.suspectWait))
    }
    isTryingSuspect = true
    let result = await started()
    if case .failure = result { isTryingSuspect = false }
    return result
  }

  /// Ends, by force, what workers do for a store; returns when that is over.
  ///
  /// - Parameter isLate: nothing is left time to end by itself.
  package func abandon(_ store: String, isLate: Bool = false) async {
    if !isLate, let call = lastingCalls[store] {
      await call.wait(until: Instant.now() + settings.endingWait, on: reactor)
      // There is no other: a store's calls are made one after another.
      if call.isAnswered == true { return }
    }
    for worker in workers where worker.isBusy(with: store) {
      logger.notice("helm-worker killed to stop a call", metadata: ["store": "\(store)"])
      worker.kill(abandoning: store)
      await worker.process.ended(on: reactor)
    }
  }

  /// Whether the error comes from our side of the socket, not from the worker.
  private static func isOurs(_ error: RPCError) -> Bool {
    switch error.code {
    case .unavailable, .cancelled, .deadlineExceeded: error.details.isEmpty
    default: false
    }
  }

  private func settle(_ worker: HelmWorker, _ store: String, _ end: HelmWorker.CallEnd) {
    worker.end(store, end)
    if end == .answered {
      // Workers work: the next one need not wait.
      failures = 0
      nextStart = Instant(nanoseconds: 0)
      suspects.remove(store)
    }
    let resident = worker.process.residentBytes
    if worker.calls >= settings.callsMax || resident > settings.residentBytesMax {
      retire(worker)
    }
    if current !== worker, worker.isIdle { worker.kill() }
  }

  private func retire(_ worker: HelmWorker) {
    worker.isRetired = true
    if current === worker { current = nil }
  }

  /// With what it wrote last. That may tell of every store that it had a call of, so it is for the log;
  /// only of a worker that was given no call yet it is for callers too.
  private func report(_ worker: HelmWorker) -> String {
    let said = worker.process.diagnostic.split(separator: "\n").suffix(3).joined(separator: " | ")
    return "helm-worker \(worker.process.ending)" + (said.isEmpty ? "" : ": \(said)")
  }

  // MARK: Starting

  private func runningWorker() async -> Result<HelmWorker, HelmWorkerError> {
    if isClosed { return .failure(HelmWorkerError(description: "the provisioner is stopping")) }
    if let current { return .success(current) }
    let wait = nextStart - Instant.now()
    if !isStarting, wait > .zero {
      return .failure(
        HelmWorkerError(
          description: "helm-worker ended \(failures) times in a row and is started again soon",
          retryAfter: wait))
    }
    if !isStarting {
      isStarting = true
      reactor.loop.spawn(on: reactor) { await self.start() }
    }
    let waiter = StartWaiter()
    return await suspended(on: reactor) {
      waiter.resume(.failure(HelmWorkerError(description: "cancelled")))
    } _: { resumption in
      // Other jobs may have run on the way here.
      if let current = self.current { return resumption.resume(.success(current)) }
      guard self.isStarting else { return resumption.resume(.failure(self.lastFailure)) }
      waiter.resumption = resumption
      self.waiters.append(waiter)
    }
  }

  private func start() async {
    let result = await started()
    isStarting = false
    switch result {
    case .success(let worker):
      current = worker
      checkMemory()
    case .failure(let error):
      failed()
      lastFailure = error
      logger.error("helm-worker does not start", metadata: ["reason": "\(error)"])
    }
    let waiters = self.waiters
    self.waiters = []
    for waiter in waiters { waiter.resume(result) }
  }

  private func started() async -> Result<HelmWorker, HelmWorkerError> {
    starts += 1
    let process: HelmWorkerProcess
    let socket: String
    do {
      let folder = try self.folder ?? HelmWorkerFolder()
      self.folder = folder
      socket = "\(folder.path)/worker-\(starts).sock"
      unlink(socket)
      process = try HelmWorkerProcess(
        .init(
          path: settings.program, library: settings.library, socket: socket,
          folder: folder.path, goMemoryBytes: settings.goMemoryBytes),
        loop: reactor.loop)
    } catch {
      return .failure(HelmWorkerError(description: "\(error)"))
    }
    let worker = HelmWorker(process, socket: socket, reactor: reactor)
    workers.append(worker)
    process.onEnd = { [weak self, unowned worker] in self?.ended(worker) }
    do {
      let answer = try await worker.client.getWorker(
        .init(), options: CallOptions(timeout: settings.startTimeout, waitForReady: true))
      logger.notice(
        "helm-worker started",
        metadata: ["process": "\(process.id)", "helm": "\(answer.helmVersion)"])
      return .success(worker)
    } catch {
      worker.kill()
      await process.ended(on: reactor)
      return .failure(HelmWorkerError(description: report(worker)))
    }
  }

  private func ended(_ worker: HelmWorker) {
    workers.removeAll { $0 === worker }
    let wasCurrent = current === worker
    if wasCurrent { current = nil }
    worker.close()
    // One that was told to end has not failed.
    let wasNeeded = wasCurrent || !worker.isIdle
    guard wasNeeded, worker.abandonedStore == nil, !isClosed else { return }
    logger.error("helm-worker ended", metadata: ["reason": "\(report(worker))"])
    if wasCurrent { failed() }
  }

  private func failed() {
    let doubled = settings.backoff * (1 << min(failures, 16))
    failures += 1
    nextStart = Instant.now() + min(doubled, settings.backoffMax)
  }

  // MARK: Memory

  private func checkMemory() {
    checks.map { reactor.loop.cancel($0) }
    checks = reactor.loop.schedule(after: settings.residentCheckInterval) { [weak self] in
      guard let self, !isClosed, !workers.isEmpty else { return }
      for worker in workers where worker.process.residentBytes > settings.residentBytesHardMax {
        logger.error(
          "helm-worker took too much memory", metadata: ["process": "\(worker.process.id)"])
        worker.kill()
      }
      checkMemory()
    }
  }
}
