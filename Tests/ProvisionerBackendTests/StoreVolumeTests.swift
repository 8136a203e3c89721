import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// What is said of volumes that a store's namespace leaves behind; `LiveNamespaceRemovalTests` has real ones.
@Suite struct StoreVolumeTests {
  private static let list = "GET /api/v1/persistentvolumes"

  private static func volume(
    _ name: String, of namespace: String = site().namespace, policy: String = "Delete",
    phase: String = "Released", finalizer: String? = nil
  ) -> JSON {
    var metadata = JSONObject()
    metadata["name"] = .string(name)
    if let finalizer {
      metadata["deletionTimestamp"] = "2026-11-22T10:00:00Z"
      metadata["finalizers"] = [.string(finalizer)]
    }
    return [
      "metadata": .object(metadata),
      "spec": [
        "persistentVolumeReclaimPolicy": .string(policy),
        "claimRef": ["namespace": .string(namespace), "name": "data"],
      ], "status": ["phase": .string(phase)],
    ]
  }

  private static func page(_ volumes: [JSON], continuing token: String = "") -> JSON {
    ["items": .array(volumes), "metadata": ["continue": .string(token)]]
  }

  /// What is told, one call after another, where the cluster answers each look by the next of `pages`, and
  /// by the last one from then on.
  private func told(
    _ pages: [[String: JSON]], forbidden: Set<String> = []
  ) async throws -> [BackendProgress] {
    try await onReactor { reactor in
      let cluster = ScriptedCluster()
      cluster.forbidden = forbidden
      let kubernetes = cluster.client(on: reactor)
      defer { kubernetes.close() }
      let volumes = StoreVolumes(kubernetes, logger: quiet, lookInterval: .milliseconds(5))
      var told: [BackendProgress] = []
      for number in 0..<10 where told.last?.isDone != true {
        cluster.answers = pages[min(number, pages.count - 1)]
        told.append(try await volumes.removal(of: site(), after: told.last))
      }
      return told
    }
  }

  @Test func thoseOfOthersAreNotWaitedFor() async throws {
    let others = Self.page([
      Self.volume("a", of: "store-other"), ["metadata": ["name": "b"], "spec": [:]],
    ])
    let told = try await told([[Self.list: others]])
    #expect(told.count == 1 && told[0].isDone)
  }

  @Test func thoseThatGoAreWaitedFor() async throws {
    let told = try await told([
      [Self.list: Self.page([Self.volume("a"), Self.volume("b", phase: "Failed")])],
      [Self.list: Self.page([Self.volume("b", phase: "Failed", finalizer: "tests/hold")])],
      [Self.list: Self.page([])],
    ])
    #expect(told.map(\.isDone) == [false, false, true])
    #expect(told[0].detail == "waits for the removal of volume a (Released), volume b (Failed)")
    #expect(told[1].detail == "waits for the removal of volume b (Failed, tests/hold)")
    #expect(told.last?.detail == "the namespace is gone, and its volumes")
  }

  @Test func thoseThatStayAreNamedOnce() async throws {
    let kept = Self.volume("kept", policy: "Retain")
    let told = try await told([
      [Self.list: Self.page([kept, Self.volume("a", policy: "Recycle")])],
      [Self.list: Self.page([kept])],
    ])
    #expect(told.map(\.isDone) == [false, false, true])
    #expect(told[0].detail == "waits for the removal of volume a (Released)")
    let words = "kept, with the store's data, by the reclaim policy Retain: volume kept (Released)"
    #expect(told[1].detail == words && told[2].detail == words)
  }

  @Test func allPagesAreReadAndNotAllAreNamed() async throws {
    let many = (0..<StoreVolumes.namesMax).map { Self.volume("a\($0)", policy: "Retain") }
    let told = try await told([
      [
        Self.list: Self.page(many, continuing: "next"),
        "\(Self.list)?limit=500&continue=next": Self.page([Self.volume("last", policy: "Retain")]),
      ]
    ])
    #expect(told.count == 2 && told[1].isDone)
    #expect(told[0].detail.hasSuffix("volume a7 (Released) and 1 more"))
  }

  /// An account that may not see volumes; it is no reason to keep a store.
  @Test func thoseThatCannotBeSeenAreToldOf() async throws {
    let told = try await told([[:]], forbidden: [Self.list])
    #expect(told.map(\.isDone) == [false, true])
    #expect(told[0].detail.contains("we may not list persistentvolumes"))
  }

  @Test func aClusterThatFailsIsNoEnd() async throws {
    let failure = await failure(ProvisionFailure.self) { try await told([[:]]) }
    #expect(failure != nil)
  }

  @Test func aPauseEndsWithItsTask() async throws {
    let waited = try await onReactor { reactor in
      let begin = Instant.now()
      let task = reactor.loop.spawn(on: reactor) { await pause(.seconds(60), on: reactor) }
      task.cancel()
      await task.value
      return Instant.now() - begin
    }
    #expect(waited < .seconds(10))
  }
}
