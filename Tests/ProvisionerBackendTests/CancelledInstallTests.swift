import Contracts
import ProvisionerService
import RPC
import Reactor
import Testing

@testable import ProvisionerBackend

/// What becomes of an install or upgrade whose caller was cancelled, and of the others in its worker.
extension SupervisorTests {
  /// Helm cannot be told to stop, but need not be killed where it stops by itself.
  @Test func aCancelledInstallThatEndsSoonKeepsItsWorker() async throws {
    var settings = Self.settings
    settings.endingWait = .seconds(20)
    try await withSupervisor(settings) { reactor, supervisor in
      let (cluster, silent) = (try SilentCluster(), try SilentCluster())
      let first = try await processID(supervisor)
      let outcome = Outcome()
      let other = reactor.loop.spawn(on: reactor) {
        _ = try? await supervisor.call("other") { client in
          outcome.attempts += 1
          _ = try await client.uninstall(silent.release())
        }
      }
      let install = reactor.loop.spawn(on: reactor) {
        _ = try? await supervisor.call("a") { client in
          try await supervisor.lasting("a") { try await client.upgrade(cluster.upgrade()) }
        }
      }
      await silent.called(1, on: reactor)
      await cluster.called(1, on: reactor)
      install.cancel()
      await install.value
      let ending = Outcome()
      let abandoning = reactor.loop.spawn(on: reactor) {
        await supervisor.abandon("a")
        ending.attempts = 1
      }
      #expect(ending.attempts == 0)
      await cluster.refuse(until: { ending.attempts == 1 }, on: reactor)
      await abandoning.value
      // Nothing is left of it.
      await supervisor.abandon("a")
      #expect(isAlive(first) && supervisor.processID == first && outcome.attempts == 1)
      await supervisor.close()
      await other.value
    }
  }

  /// Of the store "a"; returns when it is under way.
  private func endlessInstall(
    _ silent: SilentCluster, _ supervisor: HelmWorkerSupervisor, on reactor: isolated Reactor
  ) async -> Task<Void, Never> {
    let install = reactor.loop.spawn(on: reactor) {
      _ = try? await supervisor.call("a") { client in
        try await supervisor.lasting("a") { try await client.upgrade(silent.upgrade()) }
      }
    }
    await silent.called(1, on: reactor)
    return install
  }

  @Test func aCancelledInstallThatGoesOnEndsWithItsWorker() async throws {
    let patience = Duration.milliseconds(500)
    var settings = Self.settings
    settings.endingWait = patience
    try await withSupervisor(settings) { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let install = await endlessInstall(silent, supervisor, on: reactor)
      let begin = Instant.now()
      install.cancel()
      await install.value
      #expect(isAlive(first))
      await supervisor.abandon("a")
      #expect(Instant.now() - begin >= patience && !isAlive(first))
    }
  }

  /// Who holds the store's lease by now may act already.
  @Test func oneOfAHolderThatIsLateEndsAtOnce() async throws {
    var settings = Self.settings
    settings.endingWait = .seconds(30)
    try await withSupervisor(settings) { reactor, supervisor in
      let silent = try SilentCluster()
      let first = try await processID(supervisor)
      let install = await endlessInstall(silent, supervisor, on: reactor)
      install.cancel()
      let begin = Instant.now()
      await supervisor.abandon("a", isLate: true)
      #expect(Instant.now() - begin < .seconds(15) && !isAlive(first))
      await install.value
    }
  }

  /// Whoever lost its lease must have stopped.
  @Test func whatACancelledInstallHasToEndIsWithinTheGrace() {
    let engine = EngineSettings()
    #expect(Self.settings.endingWait * 2 <= engine.stopGrace)
    #expect(engine.stopGrace < engine.lease.margin)
  }

  @Test func whatIsCancelledBeforeItIsMadeLeavesTheWorkerAlone() async throws {
    try await withSupervisor { reactor, supervisor in
      let first = try await processID(supervisor)
      let outcome = Outcome()
      let install = reactor.loop.spawn(on: reactor) {
        _ = try? await supervisor.call("a") { _ in
          withUnsafeCurrentTask { $0?.cancel() }
          try await supervisor.lasting("a") { outcome.attempts += 1 }
        }
      }
      await install.value
      await supervisor.abandon("a")
      #expect(isAlive(first) && outcome.attempts == 0)
    }
  }
}
