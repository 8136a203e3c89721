import Contracts
import Foundation
import ProvisionerTestKit
import Reactor
import TestKit
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(2))) struct LoadTests {
  /// Another seed is given as PROVISIONER_SEED.
  private static let seed =
    ProcessInfo.processInfo.environment["PROVISIONER_SEED"].flatMap { UInt64($0) }
    ?? UInt64.random(in: 0 ... .max)

  @Test func fiftyStoresAgainstFiveWorkers() async throws {
    print("seed: \(Self.seed) (PROVISIONER_SEED)")
    try await atDesk { desk, database in
      var random = SplitMix64(seed: Self.seed)
      let cluster = FakeCluster()
      let codes: [FailureCode] = [
        .clusterThrottled, .helmFailed, .setupInterrupted, .quotaExceeded, .imagePullFailed,
      ]
      let names = (0..<50).map { "store\($0)" }
      for name in names {
        for step in OperationKind.provision.steps where Int.random(in: 0..<5, using: &random) == 0 {
          let failure = ProvisionFailure(codes.randomElement(using: &random) ?? .helmFailed)
          let isBefore = Bool.random(using: &random)
          cluster.script(step, of: name, [isBefore ? .fail(failure) : .failAfterwards(failure)])
        }
      }
      let engine = try await Engine.start(database, cluster)
      var operations: [(String, OperationRecord)] = []
      for (index, name) in names.enumerated() {
        let tenant = "tenant\(index % 7)"
        operations.append((tenant, try await desk.create(name, tenant: tenant)))
      }
      for (tenant, operation) in operations {
        let ended = try await desk.wait(for: operation.id, tenant: tenant)
        let store = try await desk.store(operation.store, tenant: tenant)
        let last = ended.state == .succeeded ? "ready" : "failed"
        #expect(ended.state == .succeeded || ended.state == .failed)
        #expect(store.state.rawValue == last)
        let events = try await desk.events(of: store.id)
        #expect(events.map(\.newState) == ["requested", "provisioning", last])
        #expect(events.map(\.revision) == [1, 2, 3])
        #expect(events.allSatisfy { $0.tenant == tenant })
      }
      #expect(cluster.violations.isEmpty)
      #expect(cluster.activeMax <= 5)
      await engine.stop()
    }
  }
}

@Suite struct ConformanceTests {
  @Test func theFakeBackendConforms() async throws {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    try await reactor.run { reactor in
      let cluster = FakeCluster()
      let site = StoreSite(
        store: "0a", tenant: "acme", name: "demo", engine: .woocommerce, cluster: "default",
        namespace: "store-0a", host: "demo.localhost", parameters: StoreParameters(), fence: 1)
      try await StoreBackendConformance(FakeStoreBackend(cluster, on: reactor), site: site).check()
      #expect(cluster.violations.isEmpty)
      #expect(cluster.parts(of: "0a").isEmpty)
    }
  }

  @Test func aBackendThatDoesNotConformIsFoundOut() async throws {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    let message = await reactor.run { reactor in
      let cluster = FakeCluster()
      // The second install fails where the first one succeeded.
      cluster.script(.namespace, of: nil, [.failAfterwards(ProvisionFailure(.helmFailed, "again"))])
      let site = StoreSite(
        store: "0a", tenant: "acme", name: "demo", engine: .woocommerce, cluster: "default",
        namespace: "store-0a", host: "demo.localhost", parameters: StoreParameters(), fence: 1)
      do {
        try await StoreBackendConformance(
          FakeStoreBackend(cluster, on: reactor), site: site
        ).check()
        return ""
      } catch { return "\(error)" }
    }
    #expect(message.hasPrefix("ensureNamespace, time 1: HELM_FAILED"))
  }
}
