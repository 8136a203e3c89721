import Foundation
import JSON
import ProvisionerService
import Reactor
import Testing

@testable import Kubernetes
@testable import ProvisionerBackend

/// What of a store is not of its release any more; a real one is in `LiveChangeTests`.
@Suite struct ReleaseLeftoverTests {
  private static let namespace = "/namespaces/\(site().namespace)/"

  private static func object(_ kind: String, _ name: String) -> JSON {
    let namespace = JSON.string(site().namespace)
    return [
      "kind": .string(kind),
      "metadata": ["name": .string(name), "namespace": namespace, "uid": "u-1"],
    ]
  }

  /// The names of what goes of a cluster that has a ConfigMap and an autoscaler of each name in `found`.
  private func removed(
    found: [String], kept: [JSON],
    _ change: @Sendable @escaping (ScriptedCluster) -> Void = { _ in }
  ) async throws -> (failure: ProvisionFailure?, paths: Set<String>) {
    try await onReactor { reactor in
      let cluster = ScriptedCluster()
      for kind in ReleaseLeftovers.kinds {
        let path = kind.path(namespace: site().namespace)
        let isThere = ["ConfigMap", "HorizontalPodAutoscaler"].contains(kind.kind)
        let objects = isThere ? found.map { Self.object(kind.kind, $0) } : []
        cluster.answers["GET \(path)"] = ["items": .array(objects)]
        for name in found { cluster.answers["GET \(path)/\(name)"] = Self.object(kind.kind, name) }
      }
      change(cluster)
      let kubernetes = cluster.client(on: reactor)
      defer { kubernetes.close() }
      let failure = await failure(ProvisionFailure.self) {
        try await ReleaseLeftovers.remove(from: site(), keeping: kept, kubernetes)
      }
      return (failure, Set(cluster.deleted.keys))
    }
  }

  private static let configMaps = "/api/v1\(namespace)configmaps"
  private static let autoscalers = "/apis/autoscaling/v2\(namespace)horizontalpodautoscalers"

  @Test func whatIsNotOfTheReleaseGoes() async throws {
    let kept = [
      Self.object("ConfigMap", "a"), Self.object("HorizontalPodAutoscaler", "b"),
      // Of another kind, and no reason to keep one of this name.
      Self.object("Deployment", "b"),
    ]
    let (failure, paths) = try await removed(found: ["a", "b"], kept: kept)
    #expect(failure == nil)
    #expect(paths == [Self.configMaps + "/b", Self.autoscalers + "/a"])
  }

  @Test func whatIsToBeRetainedStays() async throws {
    let retained: JSON = [
      "metadata": [
        "name": "a", "namespace": .string(site().namespace), "uid": "u-1",
        "annotations": ["helm.sh/resource-policy": "keep"],
      ]
    ]
    let (failure, paths) = try await removed(found: [], kept: []) { cluster in
      cluster.answers["GET \(Self.configMaps)"] = ["items": .array([retained])]
      cluster.answers["GET \(Self.configMaps)/a"] = retained
    }
    #expect(failure == nil && paths.isEmpty)
  }

  @Test func kindsThatTheClusterDoesNotHaveArePassedOver() async throws {
    let (failure, paths) = try await removed(found: ["a"], kept: []) { cluster in
      cluster.answers["GET \(Self.autoscalers)"] = nil
      cluster.forbidden.insert("GET /api/v1\(Self.namespace)services")
    }
    #expect(failure == nil && paths == [Self.configMaps + "/a"])
  }

  @Test func allThatTheChartMakesIsLookedFor() throws {
    let chart = URL(filePath: Checkout.chart).appending(path: "templates")
    let files = FileManager.default.enumerator(at: chart, includingPropertiesForKeys: nil)
    var kinds: Set<String> = []
    for case let file as URL in try #require(files)
    where ["yaml", "tpl"].contains(file.pathExtension) {
      let text = try String(contentsOf: file, encoding: .utf8)
      kinds.formUnion(text.matches(of: /(?m)^kind: (\w+)$/).map { String($0.1) })
    }
    let looked = Set(ReleaseLeftovers.kinds.map(\.kind))
    #expect(kinds == looked.union(["PersistentVolumeClaim"]))
  }
}
