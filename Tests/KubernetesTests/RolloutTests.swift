import JSON
import Testing

@testable import Kubernetes

private let start: Int64 = 1_795_237_200
private let startText = "2026-11-21T05:00:00Z"

/// Builds the objects of a rollout, as far as the classification looks at them.
private struct Scene {
  var workloads: [KubernetesObject] = []
  var pods: [KubernetesObject] = []
  var claims: [KubernetesObject] = []
  var events: [KubernetesObject] = []

  func state(after seconds: Int64 = 10) -> RolloutState {
    RolloutSnapshot(
      workloads: workloads, pods: pods, claims: claims, events: events, startedAt: start,
      now: start + seconds
    ).state()
  }

  func failure(after seconds: Int64 = 10) -> RolloutFailure? {
    if case .failed(let failure) = state(after: seconds) { failure } else { nil }
  }

  func words(after seconds: Int64 = 10) -> String? {
    if case .progressing(let words, _, _) = state(after: seconds) { words } else { nil }
  }
}

private func deployment(
  ready: Int = 0, condition: String = "", observed: Int = 1, kind: String = "Deployment"
) throws -> KubernetesObject {
  try parse(
    """
    {"kind":"\(kind)","metadata":{"name":"web","generation":1,"uid":"w1"},"spec":{"replicas":1},
     "status":{"observedGeneration":\(observed),"replicas":1,"updatedReplicas":1,
     "readyReplicas":\(ready),"availableReplicas":\(ready),"conditions":[\(condition)]}}
    """)
}

private func pod(_ status: String) throws -> KubernetesObject {
  try parse(
    """
    {"kind":"Pod","metadata":{"name":"web-1","creationTimestamp":"\(startText)"},
     "spec":{"volumes":[{"persistentVolumeClaim":{"claimName":"data"}}]},"status":{\(status)}}
    """)
}

private func container(_ state: String, restarts: Int = 0, last: String = "{}") -> String {
  """
  "phase":"Running","containerStatuses":[{"name":"app","image":"shop:1","ready":false,
   "restartCount":\(restarts),"state":{\(state)},"lastState":\(last)}]
  """
}

private func waiting(_ reason: String, _ message: String = "") -> String {
  #""waiting":{"reason":"\#(reason)","message":"\#(message)"}"#
}

private func event(
  _ reason: String, _ message: String, on kind: String, _ name: String, at time: String = startText
) throws -> KubernetesObject {
  try parse(
    """
    {"reason":"\(reason)","message":"\(message)","type":"Warning","lastTimestamp":"\(time)",
     "involvedObject":{"kind":"\(kind)","name":"\(name)"}}
    """)
}

@Suite struct RolloutTests {
  /// A rollback begins while the pods that made it necessary are still there.
  @Test func podsOfBeforeAreNotJudgedAtOnce() throws {
    let pod = try pod(container(waiting("ErrImagePull", "manifest unknown")))
    func failure(
      releasedAfter: Int64, followedAfter: Int64? = nil, seenAfter: Int64
    ) -> RolloutFailure? {
      let snapshot = RolloutSnapshot(
        workloads: [], pods: [pod], startedAt: start - 10, releasedAt: start + releasedAfter,
        followedSince: followedAfter.map { start + $0 }, now: start + seenAfter)
      if case .failed(let failure) = snapshot.state() { return failure }
      return nil
    }
    let patience = RolloutPatience().replacementSeconds
    #expect(failure(releasedAfter: 5, seenAfter: 6) == nil)
    #expect(failure(releasedAfter: 5, seenAfter: 5 + patience) == nil)
    #expect(failure(releasedAfter: 5, seenAfter: 6 + patience)?.code == .imagePull)
    #expect(failure(releasedAfter: 0, seenAfter: 1)?.code == .imagePull)
    // Helm took a minute.
    #expect(failure(releasedAfter: 5, followedAfter: 65, seenAfter: 65 + patience) == nil)
    #expect(
      failure(releasedAfter: 5, followedAfter: 65, seenAfter: 66 + patience)?.code == .imagePull)
  }

  /// What is scaled to nothing is ready when nothing is left.
  @Test(arguments: ["Deployment", "StatefulSet"])
  func noReplicasAreThereOnceAllAreGone(_ kind: String) throws {
    func workload(observed: Int, replicas: Int) throws -> WorkloadView {
      WorkloadView(
        try parse(
          """
          {"kind":"\(kind)","metadata":{"name":"web","generation":2},"spec":{"replicas":0},
           "status":{"observedGeneration":\(observed),"replicas":\(replicas),
           "updatedReplicas":\(replicas),"readyReplicas":\(replicas)}}
          """))
    }
    #expect(try workload(observed: 2, replicas: 0).isReady)
    #expect(try !workload(observed: 2, replicas: 1).isReady)
    #expect(try !workload(observed: 1, replicas: 0).isReady)
  }

  @Test func isReady() throws {
    #expect(Scene(workloads: [try deployment(ready: 1)]).state() == .ready)
    // The controller has not seen the new specification yet.
    #expect(Scene(workloads: [try deployment(ready: 1, observed: 0)]).state() != .ready)
    #expect(Scene().words() == "waiting for the workloads to be made")
    #expect(Scene(workloads: [try deployment(ready: 1, kind: "StatefulSet")]).state() == .ready)
    let updating = try parse(
      """
      {"kind":"StatefulSet","metadata":{"name":"db","generation":2},"spec":{"replicas":2},
       "status":{"observedGeneration":2,"replicas":2,"readyReplicas":2,"updatedReplicas":1,
       "currentRevision":"a","updateRevision":"b"}}
      """)
    #expect(Scene(workloads: [updating]).state() != .ready)
  }

  @Test func tellsWhatItWaitsFor() throws {
    var scene = Scene(workloads: [try deployment()])
    #expect(scene.words() == "Deployment/web 0/1 ready")
    scene.pods = [try pod(container(waiting("ContainerCreating")))]
    #expect(scene.words() == "Deployment/web 0/1 ready; pod web-1 starts container app")
    scene.pods = [try pod(container(#""running":{}"#))]
    #expect(scene.words()?.hasSuffix("runs and is not ready yet") == true)
    scene.pods = [try pod(container(waiting("CrashLoopBackOff"), restarts: 1))]
    #expect(scene.words()?.hasSuffix("ended and is started again") == true)
    scene.pods = [try pod(#""phase":"Pending""#)]
    #expect(scene.words()?.hasSuffix("pod web-1 is pending") == true)
  }

  @Test(arguments: [
    ("InvalidImageName", "couldn't parse", 0), ("ErrImageNeverPull", "", 0),
    ("ErrImagePull", "manifest for shop:1 not found: manifest unknown", 0),
    ("ErrImagePull", "pull access denied for shop", 0),
    ("ErrImagePull", "dial tcp: i/o timeout", 121),
    ("ImagePullBackOff", "Back-off pulling image", 121),
  ])
  func classifiesPulls(reason: String, message: String, after: Int64) throws {
    let scene = Scene(
      workloads: [try deployment()], pods: [try pod(container(waiting(reason, message)))])
    let failure = try #require(scene.failure(after: after))
    #expect(failure.code == .imagePull)
    #expect(failure.message.contains("shop:1"))
    if after > 0 { #expect(scene.failure(after: after - 1) == nil) }
  }

  @Test func findsThePullsReasonInItsEvent() throws {
    var scene = Scene(
      workloads: [try deployment()],
      pods: [try pod(container(waiting("ImagePullBackOff", "Back-off")))])
    scene.events = [
      try event("Failed", "Failed to pull image: unauthorized", on: "Pod", "web-1")
    ]
    #expect(scene.failure()?.code == .imagePull)
    // Of an earlier attempt.
    scene.events = [
      try event(
        "Failed", "Failed to pull image: unauthorized", on: "Pod", "web-1",
        at: "2026-11-21T04:59:59Z")
    ]
    #expect(scene.failure() == nil)
  }

  @Test func classifiesCrashes() throws {
    let error = #"{"terminated":{"reason":"Error","exitCode":3}}"#
    let memory = #"{"terminated":{"reason":"OOMKilled","exitCode":137}}"#
    func scene(_ last: String, restarts: Int) throws -> Scene {
      let status = container(waiting("CrashLoopBackOff"), restarts: restarts, last: last)
      return Scene(workloads: [try deployment()], pods: [try pod(status)])
    }
    #expect(try scene(error, restarts: 2).failure() == nil)
    let crash = try #require(try scene(error, restarts: 3).failure())
    #expect(crash.code == .crashLoop)
    #expect(crash.container == .init(pod: "web-1", container: "app"))
    #expect(crash.message.contains("exit code 3") && crash.message.contains("3 times"))
    let killed = try #require(try scene(memory, restarts: 3).failure())
    #expect(killed.code == .outOfMemory)
  }

  @Test func waitsForConfiguration() throws {
    let status = container(waiting("CreateContainerConfigError", #"secret \"a\" not found"#))
    let scene = Scene(workloads: [try deployment()], pods: [try pod(status)])
    #expect(scene.failure(after: 60) == nil)
    #expect(scene.failure(after: 61)?.code == .containerConfiguration)
  }

  @Test func classifiesQuota() throws {
    let condition = """
      {"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"exceeded quota: q"}
      """
    let deployment = Scene(workloads: [try deployment(condition: condition)])
    #expect(deployment.failure()?.code == .quotaExceeded)
    var set = Scene(workloads: [try KubernetesTests.deployment(kind: "StatefulSet")])
    set.events = [
      try event("FailedCreate", "create Pod: exceeded quota: q", on: "StatefulSet", "other")
    ]
    #expect(set.failure() == nil)
    set.events = [
      try event("FailedCreate", "create Pod: exceeded quota: q", on: "StatefulSet", "web")
    ]
    #expect(set.failure()?.code == .quotaExceeded)
    set.events = [
      try event(
        "FailedCreate", #"admission webhook \"w\" denied the request"#, on: "StatefulSet", "web")
    ]
    #expect(set.failure()?.code == .admissionDenied)
  }

  @Test func classifiesClaims() throws {
    func claim(_ phase: String) throws -> KubernetesObject {
      try parse(
        """
        {"kind":"PersistentVolumeClaim","metadata":{"name":"data",
         "creationTimestamp":"\(startText)"},"status":{"phase":"\(phase)"}}
        """)
    }
    let unschedulable = """
      "phase":"Pending","conditions":[{"type":"PodScheduled","status":"False",
       "reason":"Unschedulable","message":"0/1 nodes"}]
      """
    var scene = Scene(workloads: [try deployment()], pods: [try pod(unschedulable)])
    scene.claims = [try claim("Pending")]
    #expect(scene.words()?.hasSuffix("pod web-1 waits for volume claim data") == true)
    let about = "PersistentVolumeClaim"
    scene.events = [
      try event("FailedBinding", "no storage class is set", on: about, "data")
    ]
    #expect(scene.failure()?.code == .claimPending)
    scene.events = [
      try event("ProvisioningFailed", #"storageclass \"x\" not found"#, on: about, "data")
    ]
    #expect(scene.failure()?.code == .claimPending)
    scene.events = [try event("WaitForFirstConsumer", "waiting", on: about, "data")]
    #expect(scene.failure(after: 299) == nil)
    scene.events = []
    #expect(scene.failure(after: 301)?.code == .claimPending)
    scene.claims = [try claim("Lost")]
    #expect(scene.failure()?.code == .claimLost)
    scene.claims = [try claim("Bound")]
    #expect(scene.failure(after: 300) == nil)
    #expect(scene.failure(after: 301)?.code == .unschedulable)
  }

  /// Between two ends it runs, and is ready if nothing probes it.
  @Test func aContainerThatEndsAgainAndAgainIsNotReadyForAMoment() throws {
    let running = #""running":{"startedAt":"\#(startText)"}"#
    func scene(restarts: Int, exitCode: Int) throws -> Scene {
      let last = #"{"terminated":{"reason":"Error","exitCode":\#(exitCode)}}"#
      return Scene(
        workloads: [try deployment(ready: 1)],
        pods: [try pod(container(running, restarts: restarts, last: last))])
    }
    let restarted = try scene(restarts: 1, exitCode: 3)
    #expect(restarted.words(after: 7) == "container app of pod web-1 ended and was started again")
    #expect(restarted.state(after: 8) == .ready)
    #expect(try scene(restarts: 0, exitCode: 3).state(after: 1) == .ready)
    #expect(try scene(restarts: 1, exitCode: 0).state(after: 1) == .ready)
    var waits = restarted
    waits.pods = [
      try pod(
        container(
          waiting("CrashLoopBackOff"), restarts: 1, last: #"{"terminated":{"exitCode":3}}"#))
    ]
    #expect(waits.words(after: 100)?.contains("was started again") == true)
  }

  @Test func seesTheDeploymentsDeadline() throws {
    let condition = """
      {"type":"Progressing","status":"False","reason":"ProgressDeadlineExceeded","message":"late"}
      """
    let late = Scene(workloads: [try deployment(condition: condition)])
    #expect(late.failure()?.code == .progressDeadlineExceeded)
    // Ready after all.
    #expect(Scene(workloads: [try deployment(ready: 1, condition: condition)]).state() == .ready)
  }

  @Test func namesWhatHoldsANamespace() throws {
    let namespace = try parse(
      """
      {"metadata":{"name":"a","deletionTimestamp":"\(startText)"},"status":{"phase":"Terminating",
       "conditions":[
        {"type":"NamespaceContentRemaining","status":"True","message":"pods. has 1"},
        {"type":"NamespaceFinalizersRemaining","status":"True","message":"x/y in 1 instance"},
        {"type":"NamespaceDeletionContentFailure","status":"False","message":"no"}]}}
      """)
    let view = NamespaceView(namespace)
    #expect(view.isTerminating && view.blockedBy == "x/y in 1 instance")
    #expect(NamespaceView(try parse("{}")).blockedBy == nil)
  }
}
