import Glibc
import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Synchronization
import Testing

@testable import ProvisionerBackend

/// What goes wrong with Helm itself, on a real API server.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveHelmFailureTests {
  private static func broken(_ settings: inout HelmWorkerSettings) {
    settings.program = "/bin/false"
  }

  @Test func aWorkerThatDoesNotStart() async throws {
    try await LiveStores.withBackend(helm: Self.broken) { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(parts.site)
      }
      #expect(failure?.code == .helmUnavailable && failure?.verdict == .failed)
    }
  }

  /// As the kernel ends what takes too much memory.
  @Test func aWorkerThatEndsInTheMiddleOfAnInstall() async throws {
    try await LiveStores.withBackend { reactor, parts in
      let failure = try await cutOff(parts, on: reactor) {
        if let worker = parts.backend.supervisor.processID { kill(worker, SIGKILL) }
      }
      #expect(failure?.code == .helmCrashed && failure?.verdict == .inconclusive)
      #expect(failure?.detail.contains("was ended by signal 9") == true)
    }
  }

  /// What we cannot take out of the way is somebody else's.
  @Test func aRecordThatStays() async throws {
    try await LiveStores.withBackend { reactor, parts in
      let finalizers: JSON = ["metadata": ["finalizers": ["tests.storeplane.dev/hold"]]]
      let record = "sh.helm.release.v1.store.v1"
      func merge(_ patch: JSON) async throws {
        try await parts.kubernetes.merge(
          .secrets, namespace: parts.site.namespace, name: record, patch, deadline: .soon)
      }
      _ = try await cutOff(parts, on: reactor) {
        await parts.backend.abandon(parts.site, isLate: false)
      }
      try await merge(finalizers)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(parts.site)
      }
      try await merge(["metadata": ["finalizers": nil]])
      #expect(failure?.code == .releaseLocked, "\(failure as Any)")
      #expect(failure?.code.isRetryable == true && failure?.verdict == .answered)
    }
  }

  @Test func anObjectThatIsNotHelms() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.backend.applyCredentials(parts.site)
      try await parts.kubernetes.create(
        .services, namespace: parts.site.namespace,
        ["metadata": ["name": "mariadb"], "spec": ["ports": [["port": 3306]]]], deadline: .soon)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(parts.site)
      }
      #expect(failure?.code == .helmFailed, "\(failure as Any)")
      #expect(failure?.detail.contains("\"mariadb\"") == true)
    }
  }

  /// Begins an install that does not end, and has `cut` end it once its record is there; what is said
  /// of it then.
  private func cutOff(
    _ parts: LiveStores.Parts, on reactor: isolated Reactor, by cut: () async -> Void
  ) async throws -> ProvisionFailure? {
    let (backend, site) = (parts.backend, parts.site)
    try await backend.ensureNamespace(site)
    try await backend.applyCredentials(site)
    try await LiveWebhook.use("hang", on: .ingresses, seconds: 30, of: parts)
    let records = try parts.kubernetes.watch(.secrets, namespace: site.namespace)
    try await records.waitUntilSynced(deadline: .soon)
    let changes = try records.subscribe { $0.labels["owner"] == "helm" }
    let thrown = Found()
    let install = reactor.loop.spawn(on: reactor) {
      let error = await failure(ProvisionFailure.self) { try await backend.installRelease(site) }
      thrown.failure.withLock { $0 = error }
    }
    _ = try await changes.next(until: .soon)
    await cut()
    await install.value
    return thrown.failure.withLock { $0 }
  }
}
