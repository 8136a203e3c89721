import Foundation
import JSON
import Reactor

@testable import Kubernetes

/// The real cluster that the tests run against, where STOREPLANE_TEST_KUBECONFIG names one.
enum LiveCluster {
  static let wordpressImage = "localhost/storeplane/wordpress:6.1"

  static let kubeconfig: String? = {
    let path = ProcessInfo.processInfo.environment["STOREPLANE_TEST_KUBECONFIG"]
    if path == nil {
      print("STOREPLANE_TEST_KUBECONFIG is not set: tests against a real cluster are left out")
    }
    return path
  }()

  static var isThere: Bool { kubeconfig != nil }

  static func configuration() throws -> ClusterConfiguration {
    try Kubeconfig.load([kubeconfig ?? ""]).configuration()
  }

  /// Runs `body` on a reactor of its own with a client and an empty namespace, which goes afterwards.
  static func withNamespace(
    _ body: @Sendable (isolated Reactor, KubernetesClient, String) async throws -> Void
  ) async throws {
    try await onReactor { reactor in
      let client = KubernetesClient(
        reactor: reactor, configuration: try configuration(), blocking: BlockingPool())
      defer { client.close() }
      let namespace = "kubernetes-test-\(UInt32.random(in: 0 ... .max))"
      try await client.create(
        .namespaces, ["metadata": ["name": .string(namespace)]], deadline: .soon)
      var thrown: (any Error)?
      do {
        // Without it no pod can be made.
        let accounts = try client.watch(.serviceAccounts, namespace: namespace)
        let subscription = try accounts.subscribe()
        _ = try await waitFor(subscription) {
          accounts.object(namespace: namespace, name: "default")
        }
        subscription.cancel()
        try await body(reactor, client, namespace)
      } catch {
        thrown = error
      }
      try await client.delete(.namespaces, name: namespace, deadline: .soon)
      if let thrown { throw thrown }
    }
  }

  static func pod(_ name: String, command: [String] = ["sleep", "1000"]) -> JSON {
    [
      "metadata": ["name": .string(name), "labels": ["app": .string(name)]],
      "spec": podSpecification(command: command),
    ]
  }

  static func podSpecification(
    command: [String], image: String = wordpressImage, policy: String = "IfNotPresent"
  ) -> JSON {
    [
      "terminationGracePeriodSeconds": 0,
      "automountServiceAccountToken": false,
      "containers": [
        [
          "name": "app", "image": .string(image), "imagePullPolicy": .string(policy),
          "command": .array(command.map(JSON.string)),
        ]
      ],
    ]
  }

  /// - Parameter minReadySeconds: how long a pod must run before it counts.
  static func deployment(_ name: String, _ pod: JSON, minReadySeconds: Int64) -> JSON {
    [
      "spec": [
        "minReadySeconds": .number(JSONNumber(minReadySeconds)), "replicas": 1,
        "selector": ["matchLabels": ["app": .string(name)]],
        "template": ["metadata": ["labels": ["app": .string(name)]], "spec": pod],
      ]
    ]
  }
}

/// Waits until `condition` gives something, looking whenever the watch tells of a change.
func waitFor<R>(
  _ subscription: WatchSubscription, _ condition: () throws -> R?
) async throws -> R {
  while true {
    if let found = try condition() { return found }
    _ = try await subscription.next(until: .eventually)
  }
}
