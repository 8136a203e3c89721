import JSON
import Kubernetes
import Testing

@testable import ProvisionerBackend

/// Which workloads go before Helm makes them anew.
@Suite struct RefusedWorkloadTests {
  private static let failure = #"{"type":"ReplicaFailure","status":"True","message":"no quota"}"#

  @Test(
    arguments: [
      // Refused before there was a pod.
      ("Deployment", #""observedGeneration":1,"conditions":[FAILURE]"#, true),
      ("StatefulSet", #""observedGeneration":1,"replicas":0"#, true),
      // A rolling update that is refused: the pods of before serve.
      ("Deployment", #""observedGeneration":1,"replicas":1,"conditions":[FAILURE]"#, false),
      ("StatefulSet", #""observedGeneration":1,"replicas":1"#, false),
      // Its controller has not seen it yet.
      ("Deployment", #""conditions":[FAILURE]"#, false),
      // One that is refused leaves the status as it was.
      ("StatefulSet", #""replicas":0"#, true),
      ("StatefulSet", "", true),
      // Nobody has refused anything.
      ("Deployment", #""observedGeneration":1"#, false),
    ] as [(String, String, Bool)])
  func goOnlyWithoutPods(kind: String, status: String, isRefused: Bool) throws {
    let status = status.replacing("FAILURE", with: Self.failure)
    let text = """
      {"kind":"\(kind)","metadata":{"name":"w","uid":"w-1","generation":1},"spec":{"replicas":1},
       "status":{\(status)}}
      """
    let workload = KubernetesObject(try JSON(parsing: text))
    #expect(RefusedWorkloads.isRefused(workload, ["w-0"]) == isRefused)
    #expect(kind == "Deployment" || !RefusedWorkloads.isRefused(workload, ["w-1"]))
  }

  @Test func staysWhereNoPodIsWanted() throws {
    let text = """
      {"kind":"StatefulSet","metadata":{"generation":1},"spec":{"replicas":0},
       "status":{"observedGeneration":1,"replicas":0}}
      """
    #expect(!RefusedWorkloads.isRefused(KubernetesObject(try JSON(parsing: text)), []))
  }
}
