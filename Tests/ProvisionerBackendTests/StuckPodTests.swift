import JSON
import Kubernetes
import Testing

@testable import ProvisionerBackend

/// Which pods of a StatefulSet are deleted, as its controller would wait for them for ever.
@Suite struct StuckPodTests {
  private static let created = "2026-11-21T05:00:00Z"

  private func isStuck(
    revision: String = "old", ready: String = "False", since: String = created,
    owner: String = "s-1", observed: Int = 2, kind: String = "StatefulSet"
  ) throws -> Bool {
    let pod = """
      {"kind":"Pod","metadata":{"name":"mariadb-0","creationTimestamp":"\(Self.created)",
       "labels":{"controller-revision-hash":"\(revision)"},"ownerReferences":[{"uid":"\(owner)"}]},
       "status":{"conditions":[{"type":"Ready","status":"\(ready)","lastTransitionTime":"\(since)"}]}}
      """
    let workload = """
      {"kind":"\(kind)","metadata":{"name":"mariadb","uid":"s-1","generation":2},
       "status":{"observedGeneration":\(observed),"updateRevision":"new"}}
      """
    return StuckPods.isStuck(
      KubernetesObject(try JSON(parsing: pod)), [KubernetesObject(try JSON(parsing: workload))])
  }

  @Test func oneThatWasNeverReadyAndIsOfAnEarlierRevisionIs() throws {
    #expect(try isStuck())
    #expect(try !isStuck(revision: "new"))
    #expect(try !isStuck(ready: "True"))
    // Ready once: it may be so again.
    #expect(try !isStuck(since: "2026-11-21T05:01:00Z"))
    #expect(try !isStuck(owner: "s-2"))
    // The controller may not have seen yet what the newest revision is.
    #expect(try !isStuck(observed: 1))
    #expect(try !isStuck(kind: "Deployment"))
  }
}
