import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// A backend that counts what it is asked for, and that can be held up. Confined to its reactor.
private final class CountingBackend: StoreBackend {
  private(set) var calls = 0
  private(set) var abandoned = 0
  var waiter: (() async -> Void)?

  func ensureNamespace(_ site: StoreSite) async throws(ProvisionFailure) {
    calls += 1
    await waiter?()
  }
  func applyCredentials(_ site: StoreSite) async throws(ProvisionFailure) {
    throw ProvisionFailure(.clusterForbidden)
  }
  func installRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    InstalledRelease(revision: calls, chart: "fake-1")
  }
  func rolloutStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func setUp(_ site: StoreSite) async throws(ProvisionFailure) {}
  func verify(_ site: StoreSite) async throws(ProvisionFailure) {}
  func rollBackRelease(_ site: StoreSite) async throws(ProvisionFailure) -> InstalledRelease {
    InstalledRelease(revision: 1, chart: "fake-1")
  }
  func check(_ site: StoreSite) async throws(ProvisionFailure) {}
  func uninstallRelease(_ site: StoreSite) async throws(ProvisionFailure) {}
  func deleteNamespace(_ site: StoreSite) async throws(ProvisionFailure) {}
  func removalStatus(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func forgetCredentials(_ site: StoreSite) async throws(ProvisionFailure) {}
  func drift(of site: StoreSite) async throws(ProvisionFailure) -> [Drift] { [] }
  func certificate(of site: StoreSite) async throws(ProvisionFailure) -> StoreCondition? { nil }
  func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func checkBackup(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    BackupContents(bytes: 1, sha256: "")
  }
  func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func testBackup(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    BackendProgress(isDone: true, fraction: 1, detail: "")
  }
  func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {}
  func removeBackup(_ backup: StoreBackup) async throws(ProvisionFailure) {}
  func abandon(_ site: StoreSite, isLate: Bool) async { abandoned += 1 }
}

/// The connections that were made. Confined to its reactor.
private final class Connections {
  private(set) var made: [(name: String, access: ClusterAccess, backend: CountingBackend)] = []
  private(set) var closed: [Int] = []
  var failure: ProvisionFailure?
  var pause: (() async -> Void)?

  func connect(
    _ cluster: String, _ access: ClusterAccess
  ) async throws(ProvisionFailure) -> OpenCluster {
    await pause?()
    if let failure { throw failure }
    let number = made.count
    let backend = CountingBackend()
    made.append((cluster, access, backend))
    return OpenCluster(backend) { self.closed.append(number) }
  }
}

/// Something to wait for. Confined to its reactor.
private final class Gate {
  private let reactor: Reactor
  private var waiters: [Resumption<Void>] = []
  private var isOpen = false

  init(on reactor: Reactor) { self.reactor = reactor }

  func pass() async {
    let onCancel = {}
    while !isOpen {
      await suspended(on: reactor, onCancel: onCancel) { resumption in
        if self.isOpen { return resumption.resume(()) }
        self.waiters.append(resumption)
      }
    }
  }

  func open() {
    isOpen = true
    for waiter in waiters { waiter.resume(()) }
    waiters = []
  }
}

private func site(on cluster: String, _ access: ClusterAccess = ClusterAccess()) -> StoreSite {
  StoreSite(
    store: "0abcdefghjkmnpqr", tenant: "acme", name: "tea", engine: .woocommerce,
    cluster: cluster, clusterAccess: access, namespace: "store-0abcdefghjkmnpqr",
    host: "tea.localhost", parameters: StoreParameters(), fence: 1)
}

@Suite(.timeLimit(.minutes(1))) struct ClusterBackendsTests {
  private func withBackends(
    openMax: Int = ClusterBackends.openMax,
    _ body: @Sendable (isolated Reactor, ClusterBackends, Connections) async throws -> Void
  ) async throws {
    try await onReactor { reactor in
      let connections = Connections()
      let backends = ClusterBackends(openMax: openMax) { cluster, access throws(ProvisionFailure) in
        try await connections.connect(cluster, access)
      }
      try await body(reactor, backends, connections)
      await backends.close()
      #expect(connections.closed.sorted() == Array(connections.made.indices))
    }
  }

  private static let one = ClusterAccess(secret: "one")
  private static let two = ClusterAccess(secret: "two")

  @Test func aClusterIsConnectedToOnceWhenItIsNeeded() async throws {
    try await withBackends { _, backends, connections in
      #expect(backends.openCount == 0)
      for _ in 0..<3 { try await backends.ensureNamespace(site(on: "default")) }
      let release = try await backends.installRelease(site(on: "default"))
      #expect(release == InstalledRelease(revision: 3, chart: "fake-1"))
      try await backends.ensureNamespace(site(on: "eu", Self.one))
      #expect(connections.made.map(\.name) == ["default", "eu"])
      #expect(connections.made.map(\.backend.calls) == [3, 1])
      let failed = await failure(ProvisionFailure.self) {
        try await backends.applyCredentials(site(on: "eu", Self.one))
      }
      #expect(failed?.code == .clusterForbidden)
    }
  }

  @Test func anotherKubeconfigIsAnotherConnection() async throws {
    try await withBackends { _, backends, connections in
      try await backends.ensureNamespace(site(on: "eu", Self.one))
      try await backends.ensureNamespace(site(on: "eu", Self.two))
      #expect(connections.made.map(\.access) == [Self.one, Self.two])
      #expect(connections.closed == [0])
    }
  }

  /// Operations that were taken up before it was known which cluster it is go on beside later ones.
  @Test func aConnectionServesThoseWhoDoNotKnowWhichClusterItIs() async throws {
    try await withBackends { _, backends, connections in
      var known = Self.one
      known.uid = "a"
      for access in [Self.one, known, Self.one, known] {
        try await backends.ensureNamespace(site(on: "eu", access))
      }
      #expect(connections.made.map(\.access) == [Self.one, known])
      try await backends.ensureNamespace(site(on: "eu", Self.two))
      known.uid = "b"
      try await backends.ensureNamespace(site(on: "eu", known))
      #expect(connections.made.count == 4)
    }
  }

  @Test func aConnectionLastsUntilItsLastCallEnds() async throws {
    try await withBackends { reactor, backends, connections in
      try await backends.ensureNamespace(site(on: "eu", Self.one))
      let gate = Gate(on: reactor)
      let end = Gate(on: reactor)
      connections.made[0].backend.waiter = { await gate.pass() }
      reactor.loop.spawn(on: reactor) {
        try? await backends.ensureNamespace(site(on: "eu", Self.one))
        end.open()
      }
      try await backends.ensureNamespace(site(on: "eu", Self.two))
      #expect(connections.closed.isEmpty && backends.openCount == 2)
      // What is under way by either is stopped.
      await backends.abandon(site(on: "eu", Self.two), isLate: false)
      #expect(connections.made.map(\.backend.abandoned) == [1, 1])
      gate.open()
      await end.pass()
      #expect(connections.closed == [0] && backends.openCount == 1)
    }
  }

  @Test func callsThatConnectAtOnceShareOneConnection() async throws {
    try await withBackends { reactor, backends, connections in
      let gate = Gate(on: reactor)
      connections.pause = { await gate.pass() }
      let ends = [Gate(on: reactor), Gate(on: reactor)]
      for end in ends {
        reactor.loop.spawn(on: reactor) {
          try? await backends.ensureNamespace(site(on: "eu", Self.one))
          end.open()
        }
      }
      gate.open()
      for end in ends { await end.pass() }
      #expect(backends.openCount == 1)
      #expect(connections.made.map(\.backend.calls).reduce(0, +) == 2)
      #expect(connections.closed.count == connections.made.count - 1)
    }
  }

  @Test func thoseThatAreNotUsedMakeRoom() async throws {
    try await withBackends(openMax: 2) { reactor, backends, connections in
      for name in ["a", "b", "a", "c"] { try await backends.ensureNamespace(site(on: name)) }
      #expect(connections.made.map(\.name) == ["a", "b", "c"])
      #expect(connections.closed == [1] && backends.openCount == 2)
      let gate = Gate(on: reactor)
      let ends = [Gate(on: reactor), Gate(on: reactor)]
      for (number, end) in [(0, ends[0]), (2, ends[1])] {
        connections.made[number].backend.waiter = { await gate.pass() }
        let name = connections.made[number].name
        reactor.loop.spawn(on: reactor) {
          try? await backends.ensureNamespace(site(on: name))
          end.open()
        }
      }
      let began = Gate(on: reactor)
      reactor.loop.schedule(after: .zero) { began.open() }
      await began.pass()
      let full = await failure(ProvisionFailure.self) {
        try await backends.ensureNamespace(site(on: "d"))
      }
      #expect(full?.detail.contains("openMax") == true && full?.verdict == .inconclusive)
      #expect(backends.openCount == 2)
      gate.open()
      for end in ends { await end.pass() }
      try await backends.ensureNamespace(site(on: "d"))
      #expect(backends.openCount == 2)
    }
  }

  @Test func aClusterThatIsGoneIsLeft() async throws {
    try await withBackends { reactor, backends, connections in
      for name in ["default", "eu", "us"] { try await backends.ensureNamespace(site(on: name)) }
      let gate = Gate(on: reactor)
      let end = Gate(on: reactor)
      connections.made[2].backend.waiter = { await gate.pass() }
      reactor.loop.spawn(on: reactor) {
        try? await backends.ensureNamespace(site(on: "us"))
        end.open()
      }
      let began = Gate(on: reactor)
      reactor.loop.schedule(after: .zero) { began.open() }
      await began.pass()
      await backends.retain(["default"])
      #expect(connections.closed == [1] && backends.openCount == 2)
      gate.open()
      await end.pass()
      #expect(connections.closed == [1, 2] && backends.openCount == 1)
    }
  }

  @Test func whatCannotBeConnectedToIsToldAndTriedAgain() async throws {
    try await withBackends { _, backends, connections in
      connections.failure = ProvisionFailure(.clusterUnreachable, "no kubeconfig")
      let failed = await failure(ProvisionFailure.self) {
        try await backends.ensureNamespace(site(on: "eu", Self.one))
      }
      #expect(failed?.code == .clusterUnreachable)
      // Nothing was begun there.
      await backends.abandon(site(on: "eu", Self.one), isLate: false)
      connections.failure = nil
      try await backends.ensureNamespace(site(on: "eu", Self.one))
      #expect(connections.made.count == 1)
    }
  }
}
