import CLinux
import Contracts
import Foundation
import Glibc
import Logging
import ProvisionerService
import RPC
import RPCCore
import Reactor
import Synchronization
import Testing

@testable import ProvisionerBackend

/// The real helm-worker under its supervisor; the cluster that it is sent to takes calls and never
/// answers, so that they last.
@Suite(.enabled(if: Checkout.hasHelm)) struct SupervisorTests {
  static var settings: HelmWorkerSettings {
    var settings = HelmWorkerSettings(
      program: Checkout.worker, library: Checkout.helmLibrary ?? "")
    settings.startTimeout = .seconds(60)
    return settings
  }

  func withSupervisor(
    _ settings: HelmWorkerSettings = settings, logger: Logger = quiet,
    _ body: @Sendable (isolated Reactor, HelmWorkerSupervisor) async throws -> Void
  ) async throws {
    try await onReactor { reactor in
      let supervisor = HelmWorkerSupervisor(settings, reactor: reactor, logger: logger)
      var thrown: (any Error)?
      do { try await body(reactor, supervisor) } catch { thrown = error }
      await supervisor.close()
      if let thrown { throw thrown }
    }
  }

  func processID(_ supervisor: HelmWorkerSupervisor, _ store: String = "a") async throws
    -> Int32
  {
    try await supervisor.call(store) { try await $0.getWorker(.init()).processID }
  }

  func isAlive(_ process: Int32) -> Bool { kill(process, 0) == 0 }

  @Test func startsWithTheFirstCallAndEndsWhenClosed() async throws {
    try await onReactor { reactor in
      let supervisor = HelmWorkerSupervisor(Self.settings, reactor: reactor, logger: quiet)
      #expect(supervisor.processID == nil && supervisor.starts == 0)
      let first = try await processID(supervisor)
      #expect(try await processID(supervisor) == first && supervisor.processID == first)
      let folder = try #require(supervisor.folder).path
      var status = stat()
      #expect(stat(folder, &status) == 0 && status.st_mode & 0o777 == 0o700)
      await supervisor.close()
      #expect(!isAlive(first) && !FileManager.default.fileExists(atPath: folder))
      await #expect(throws: HelmWorkerError.self) { try await processID(supervisor) }
    }
  }

  @Test func callsAtOnceShareOneStart() async throws {
    try await withSupervisor { reactor, supervisor in
      let count = 8
      let seen = Collected()
      let tasks = (0..<count).map { number in
        reactor.loop.spawn(on: reactor) {
          if let id = try? await self.processID(supervisor, "store \(number)") {
            seen.ids.append(id)
          }
        }
      }
      for task in tasks { await task.value }
      #expect(seen.ids.count == count && Set(seen.ids).count == 1 && supervisor.starts == 1)
    }
  }

  @Test func giveChildrenNothingOfOurs() async throws {
    setenv("STOREPLANE_TEST_SECRET", "hunter2", 1)
    try await withSupervisor { _, supervisor in
      let process = try await processID(supervisor)
      func file(_ name: String) throws -> String {
        String(
          decoding: try Data(contentsOf: URL(fileURLWithPath: "/proc/\(process)/\(name)")),
          as: UTF8.self)
      }
      #expect(try !file("environ").contains("hunter2"))
      #expect(try file("limits").contains("Max core file size        0"))
      // Its socket, epoll and library come after those three.
      for descriptor in 0...2 {
        let path = try FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/\(process)/fd/\(descriptor)")
        #expect(descriptor == 0 ? path == "/dev/null" : path.hasPrefix("pipe:"))
      }
    }
  }

  @Test func startsAgainAfterACrash() async throws {
    var settings = Self.settings
    settings.backoff = .seconds(3)
    try await withSupervisor(settings) { [settings] reactor, supervisor in
      let first = try await processID(supervisor)
      kill(first, SIGKILL)
      await ended(first, reactor)
      // At once it is refused, with the time to come again.
      let refusal = await failure(HelmWorkerError.self) { try await processID(supervisor) }
      let wait = try #require(refusal?.retryAfter)
      #expect(wait > .zero && wait <= settings.backoff)
      #expect(refusal.map { ProvisionFailure(helm: $0).verdict } == .inconclusive)
      await pause(wait, reactor)
      let second = try await processID(supervisor)
      #expect(second != first && supervisor.starts == 2)
    }
  }

  @Test func waitsLongerWithEveryFailure() async throws {
    var settings = HelmWorkerSettings(program: "/bin/false", library: "none")
    settings.backoff = .milliseconds(400)
    settings.backoffMax = .milliseconds(1_400)
    try await withSupervisor(settings) { reactor, supervisor in
      var waits: [Duration] = []
      for _ in 0..<4 {
        let failed = await failure(HelmWorkerError.self) { try await processID(supervisor) }
        #expect(failed?.description.contains("exit code 1") == true)
        let refused = await failure(HelmWorkerError.self) { try await processID(supervisor) }
        let wait = try #require(refused?.retryAfter)
        waits.append(wait)
        await pause(wait, reactor)
      }
      #expect(waits[0] <= .milliseconds(400) && waits[3] <= .milliseconds(1_400))
      #expect(waits[3] > .milliseconds(400) && supervisor.starts == 4)
    }
  }

  @Test func saysWhyItDoesNotStart() async throws {
    var missing = Self.settings
    missing.library = "/nowhere/libhelm_c.so"
    try await withSupervisor(missing) { _, supervisor in
      let error = await failure(HelmWorkerError.self) { try await processID(supervisor) }
      #expect(error?.description.contains("/nowhere/libhelm_c.so") == true)
      #expect(error.map { ProvisionFailure(helm: $0).verdict } == .failed)
    }
    let nothing = HelmWorkerSettings(program: "/nowhere/helm-worker", library: "")
    try await withSupervisor(nothing) { _, supervisor in
      let error = await failure(HelmWorkerError.self) { try await processID(supervisor) }
      #expect(error?.description.contains("/nowhere/helm-worker") == true)
    }
  }

  @Test func replacesAWorkerThatHasDoneEnough() async throws {
    var settings = Self.settings
    settings.callsMax = 2
    try await withSupervisor(settings) { reactor, supervisor in
      let first = try await processID(supervisor)
      #expect(try await processID(supervisor) == first)
      let second = try await processID(supervisor)
      #expect(second != first && supervisor.starts == 2)
      await ended(first, reactor)
      #expect(!isAlive(first))
    }
  }

  @Test func replacesAWorkerThatHoldsMuch() async throws {
    var settings = Self.settings
    settings.residentBytesMax = 1
    try await withSupervisor(settings) { _, supervisor in
      let first = try await processID(supervisor)
      #expect(try await processID(supervisor) != first)
    }
  }

  @Test func endsAWorkerThatTakesTooMuch() async throws {
    var settings = Self.settings
    settings.residentBytesHardMax = 1
    settings.residentCheckInterval = .milliseconds(50)
    try await withSupervisor(settings) { _, supervisor in
      let silent = try SilentCluster()
      let error = await failure(HelmWorkerError.self) {
        try await supervisor.call("a") { try await $0.uninstall(silent.release()) }
      }
      #expect(error?.description.contains("ended by signal 9") == true)
    }
  }

  /// However often: their own time is the limit.
  @Test func abandonedCallsEndWithTheirWorkerAndTheOthersGoOn() async throws {
    var settings = Self.settings
    settings.repeatsMax = 0
    try await withSupervisor(settings) { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let outcome = Outcome()
      let stuck = reactor.loop.spawn(on: reactor) {
        outcome.error = await failure(HelmWorkerError.self) {
          try await supervisor.call("stuck") { try await $0.uninstall(silent.release()) }
        }
      }
      let other = reactor.loop.spawn(on: reactor) {
        outcome.second = try? await supervisor.call("other") { client in
          outcome.attempts += 1
          // The first time it lasts, too.
          if outcome.attempts == 1 { _ = try await client.uninstall(silent.release("other")) }
          return try await client.getWorker(.init()).processID
        }
      }
      await silent.called(2, on: reactor)
      await supervisor.abandon("nobody")
      #expect(isAlive(first))
      let begin = Instant.now()
      await supervisor.abandon("stuck")
      #expect(Instant.now() - begin < .seconds(15) && !isAlive(first))
      await stuck.value
      await other.value
      #expect(outcome.error?.description.contains("ended by signal 9") == true)
      #expect(outcome.attempts == 2 && outcome.second != nil && outcome.second != first)
    }
  }

  /// A call that was cancelled here may go on there, until it is abandoned.
  @Test func abandonsWhatWasCancelled() async throws {
    try await withSupervisor { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let task = reactor.loop.spawn(on: reactor) {
        _ = try? await supervisor.call("a") { try await $0.uninstall(silent.release()) }
      }
      await silent.called(1, on: reactor)
      task.cancel()
      // Of itself the call would not end.
      await task.value
      #expect(isAlive(first))
      await supervisor.abandon("a")
      #expect(!isAlive(first))
    }
  }

  /// Nobody may act beside a call that goes on though its time is over.
  @Test func aCallWhoseTimeIsOverEndsWithItsWorkerAndTheOthersGoOn() async throws {
    try await withSupervisor { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let outcome = Outcome()
      let other = reactor.loop.spawn(on: reactor) {
        outcome.second = try? await supervisor.call("other") { client in
          outcome.attempts += 1
          if outcome.attempts == 1 { _ = try await client.uninstall(silent.release("other")) }
          return try await client.getWorker(.init()).processID
        }
      }
      await silent.called(1, on: reactor)
      let error = await failure(RPCError.self) {
        try await supervisor.call("late") {
          try await $0.uninstall(
            silent.release(), options: CallOptions(timeout: .milliseconds(500)))
        }
      }
      #expect(error?.code == .deadlineExceeded && !isAlive(first))
      // An API server that takes calls and answers none is none to go on calling.
      let failure = error.map { ProvisionFailure(helm: $0) }
      #expect(failure?.code == .stepTimedOut && failure?.verdict == .failed)
      await other.value
      #expect(outcome.attempts == 2 && outcome.second != nil && outcome.second != first)
    }
  }

  /// What a worker wrote may tell of any store that it had a call of.
  @Test func whatAWorkerWroteIsLoggedAndToldToNobody() async throws {
    let log = LogRecord()
    let program = FileManager.default.temporaryDirectory
      .appendingPathComponent("talkative-worker-\(UUID().uuidString)").path
    let script = "#!/bin/sh\necho namespace of another >&2\nexec \(Checkout.worker) \"$@\"\n"
    // Written by another process: a child that is started meanwhile would hold the open file for a
    // moment, and what is open for writing cannot be run.
    try #require(system("printf %s '\(script)' >'\(program)' && chmod 700 '\(program)'") == 0)
    defer { try? FileManager.default.removeItem(atPath: program) }
    var settings = Self.settings
    settings.program = program
    let logger = Logger(label: "test") { _ in log }
    try await withSupervisor(settings, logger: logger) { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let outcome = Outcome()
      let stuck = reactor.loop.spawn(on: reactor) {
        outcome.error = await failure(HelmWorkerError.self) {
          try await supervisor.call("stuck") { try await $0.uninstall(silent.release()) }
        }
      }
      await silent.called(1, on: reactor)
      kill(first, SIGKILL)
      await stuck.value
      #expect(outcome.error?.description == "helm-worker was ended by signal 9")
      #expect(outcome.error?.isCrash == true)
      #expect(log.text.contains("was ended by signal 9: namespace of another"))
    }
  }

  /// Of calls that a worker ended with, each is tried alone, and only one that ends its own worker has
  /// ended the first.
  @Test func theCallThatEndsItsWorkerIsFound() async throws {
    try await withSupervisor { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let (culprit, bystander) = (Outcome(), Outcome())
      let bad = reactor.loop.spawn(on: reactor) {
        culprit.error = await failure(HelmWorkerError.self) {
          try await supervisor.call("bad") { client in
            culprit.attempts += 1
            culprit.second = try await client.getWorker(.init()).processID
            _ = try await client.uninstall(silent.release("bad"))
          }
        }
      }
      let good = reactor.loop.spawn(on: reactor) {
        bystander.error = await failure(HelmWorkerError.self) {
          try await supervisor.call("good") { client in
            bystander.attempts += 1
            if bystander.attempts == 1 { _ = try await client.uninstall(silent.release("good")) }
          }
        }
      }
      await silent.called(2, on: reactor)
      kill(first, SIGKILL)
      await good.value
      await silent.called(1, on: reactor)
      let alone = try #require(culprit.second)
      #expect(alone != first && isAlive(alone))
      // One at a time; the other one comes again.
      #expect(bystander.error?.retryAfter == Self.settings.suspectWait)
      #expect(bystander.error?.isCrash == false)
      #expect(bystander.error.map { ProvisionFailure(helm: $0).verdict } == .inconclusive)
      kill(alone, SIGKILL)
      await bad.value
      #expect(culprit.error?.isCrash == true && culprit.attempts == 2)
      // An error is an answer as well.
      let refused = await failure(RPCError.self) {
        try await supervisor.call("good") { try await $0.uninstall(.init()) }
      }
      #expect(refused?.code == .invalidArgument)
      // Answered in a worker of its own, it shares one again.
      let shared = try await processID(supervisor, "good")
      #expect(try await processID(supervisor, "other") == shared)
    }
  }

  @Test func aCallThatNeverCameToTheWorkerLeavesItAlone() async throws {
    try await withSupervisor { _, supervisor in
      struct Refused: Error {}
      let first = try await processID(supervisor)
      await #expect(throws: Refused.self) {
        try await supervisor.call("a") { _ in throw Refused() }
      }
      await supervisor.abandon("a")
      #expect(isAlive(first))
    }
  }

  /// One for each of the most workers that PROVISIONER_WORKERS allows.
  @Test func aHundredCallsAtOnceAreNotRefused() async throws {
    var settings = Self.settings
    settings.callsMax = 10_000
    try await withSupervisor(settings) { reactor, supervisor in
      let silent = try SilentCluster()
      _ = try await processID(supervisor)
      let count = 100
      let ended = Collected()
      let tasks = (0..<count).map { number in
        reactor.loop.spawn(on: reactor) {
          _ = try? await supervisor.call("store \(number)") {
            try await $0.uninstall(silent.release("n\(number)"))
          }
          ended.ids.append(Int32(number))
        }
      }
      var active: Int32 = 0
      while active < count, ended.ids.isEmpty {
        active = try await supervisor.call("watch") {
          try await $0.getWorker(.init()).activeCalls
        }
      }
      #expect(active == count && ended.ids.isEmpty)
      await supervisor.close()
      for task in tasks { await task.value }
    }
  }

  // MARK: Waiting

  private func ended(_ process: Int32, _ reactor: Reactor) async {
    while isAlive(process) { await pause(.milliseconds(5), reactor) }
  }

  private func pause(_ duration: Duration, _ reactor: Reactor) async {
    let onCancel = {}
    await suspended(on: reactor, onCancel: onCancel) { (resumption: Resumption<Void>) in
      reactor.loop.schedule(after: duration) { resumption.resume(()) }
    }
  }
}

/// What tasks of a test found; confined to a reactor.
private final class Collected { var ids: [Int32] = [] }

/// How a call went. Confined to a reactor.
final class Outcome {
  var error: HelmWorkerError?
  var attempts = 0
  var second: Int32?
}

/// What is logged, kept to be looked through.
private final class LogRecord: LogHandler, Sendable {
  private let lines = Mutex<[String]>([])
  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  var logLevel: Logger.Level {
    get { .trace }
    set {}
  }
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    lines.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
  }
}
