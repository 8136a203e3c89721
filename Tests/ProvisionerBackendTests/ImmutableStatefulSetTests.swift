import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// What becomes of StatefulSets that cannot be changed as a release wants; a real one is in `LiveChangeTests`.
@Suite struct ImmutableStatefulSetTests {
  /// In the words of Kubernetes 1.20, by Helm 4.
  private static func refusal(_ name: String) -> ProvisionFailure {
    ProvisionFailure(
      .fieldImmutable,
      "server-side apply failed for object n/\(name) apps/v1, Kind=StatefulSet: StatefulSet.apps "
        + "\"\(name)\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than "
        + "'replicas', 'template', and 'updateStrategy' are forbidden")
  }

  private static let all = "/apis/apps/v1/namespaces/\(site().namespace)/statefulsets"

  private static func path(_ name: String) -> String { "\(all)/\(name)" }

  private static func workload(_ name: String, part: JSON = "ecommerce-store") -> JSON {
    var labels = JSONObject()
    labels["app.kubernetes.io/part-of"] = part
    return ["metadata": ["name": .string(name), "uid": "u-1", "labels": .object(labels)]]
  }

  /// How it ends where Helm gives `failures` one after another and then succeeds, how often that was asked,
  /// and what was deleted.
  private func outcome(
    _ failures: [ProvisionFailure], _ workloads: [String: JSON]
  ) async throws -> (failure: ProvisionFailure?, calls: Int, deleted: [String: JSON]) {
    try await onReactor { reactor in
      let cluster = ScriptedCluster()
      cluster.answers["GET \(Self.all)"] = ["items": []]
      for (name, workload) in workloads { cluster.answers["GET \(Self.path(name))"] = workload }
      let kubernetes = cluster.client(on: reactor)
      defer { kubernetes.close() }
      var calls = 0
      let failure = await failure(ProvisionFailure.self) {
        try await ImmutableStatefulSets.replaced(of: site(), kubernetes) {
          () async throws(ProvisionFailure) in
          calls += 1
          if calls <= failures.count { throw failures[calls - 1] }
          return InstalledRelease(revision: calls, chart: "ecommerce-store-1")
        }
      }
      return (failure, calls, cluster.deleted)
    }
  }

  @Test func theyGoWithoutTheirPodsAndTheReleaseIsMadeAgain() async throws {
    let (failure, calls, deleted) = try await outcome(
      [Self.refusal("postgres"), Self.refusal("redis")],
      ["postgres": Self.workload("postgres"), "redis": Self.workload("redis")])
    #expect(failure == nil && calls == 3)
    #expect(Set(deleted.keys) == [Self.path("postgres"), Self.path("redis")])
    for options in deleted.values {
      #expect(options["propagationPolicy"]?.string == "Orphan")
      #expect(options["preconditions", "uid"]?.string == "u-1")
    }
  }

  @Test func eachGoesOnce() async throws {
    let refusal = Self.refusal("mariadb")
    let (failure, calls, deleted) = try await outcome(
      [refusal, refusal], ["mariadb": Self.workload("mariadb")])
    #expect(failure == refusal && calls == 2 && deleted.count == 1)
  }

  @Test func othersStay() async throws {
    let foreign = try await outcome(
      [Self.refusal("mariadb")], ["mariadb": Self.workload("mariadb", part: "somebody-elses")])
    #expect(foreign.failure?.code == .fieldImmutable && foreign.calls == 1)
    #expect(foreign.deleted.isEmpty)
    let claim = ProvisionFailure(
      .fieldImmutable, "PersistentVolumeClaim \"mariadb\" is invalid: spec: field is immutable")
    let other = try await outcome([claim], ["mariadb": Self.workload("mariadb")])
    #expect(other.failure == claim && other.calls == 1 && other.deleted.isEmpty)
    let words = Self.refusal("mariadb").detail
    #expect(ImmutableStatefulSets.names(in: ProvisionFailure(.admissionDenied, words)).isEmpty)
  }

  /// Somebody was faster.
  @Test func oneThatIsGoneIsMade() async throws {
    let (failure, calls, _) = try await outcome([Self.refusal("mariadb")], [:])
    #expect(failure == nil && calls == 2)
  }
}
