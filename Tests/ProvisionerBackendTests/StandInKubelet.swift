import JSON
import Kubernetes
import Reactor

/// Says of all stores' pods that they run, as the kubelet of a node would. Confined to its reactor.
final class StandInKubelet {
  private static let pods = "app.kubernetes.io/part-of=ecommerce-store"
  /// No node has this label: a real kubelet has nothing to do with the pods.
  static let nowhere: JSON = ["storeplane.dev/nowhere": "true"]

  private let kubernetes: KubernetesClient

  init(_ kubernetes: KubernetesClient) { self.kubernetes = kubernetes }

  func run() async throws {
    let watch = try kubernetes.watch(.pods, labelSelector: Self.pods)
    let changes = try watch.subscribe()
    defer { changes.cancel() }
    while let change = try await changes.next() {
      switch change {
      case .updated(let pod): await report(pod)
      case .deleted: break
      case .resynced: for pod in watch.objects() { await report(pod) }
      }
    }
  }

  private func report(_ pod: KubernetesObject) async {
    guard pod["spec", "nodeSelector"] == Self.nowhere, !pod.isBeingDeleted, !PodView(pod).isReady
    else { return }
    // One that has just gone needs none.
    _ = try? await kubernetes.merge(
      .pods, namespace: pod.namespace, name: pod.name, subresource: "status", status(of: pod),
      deadline: .soon)
  }

  private func status(of pod: KubernetesObject) -> JSON {
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map { type in
      ["type": .string(type), "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"]
        as JSON
    }
    let containers = (pod["spec", "containers"]?.array ?? []).map { container in
      [
        "name": container["name"] ?? "", "image": container["image"] ?? "", "imageID": "",
        "ready": true, "started": true, "restartCount": 0,
        "state": ["running": ["startedAt": "2026-01-01T00:00:00Z"]],
      ] as JSON
    }
    return [
      "status": [
        "phase": "Running", "conditions": .array(conditions),
        "containerStatuses": .array(containers),
      ]
    ]
  }
}
