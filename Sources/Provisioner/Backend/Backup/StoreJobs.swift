import Configuration
import Glibc
import HTTP
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// The jobs that copy stores' data and bring it back, each in its store's namespace and named by its
/// operation: whoever holds that follows the one there is. Confined to its reactor.
final class StoreJobs {
  static let requestTimeout = Duration.seconds(25)
  /// For pods to end: longer than any container of the chart is given.
  static let endingWait = Duration.seconds(65)
  /// Between looks at what no watch tells.
  private static let lookInterval = Duration.seconds(2)
  /// Made by the chart where it closes the network of the namespace.
  private static let closingPolicy = "default-deny"
  private static let networkPolicies = ResourceKind(
    group: "networking.k8s.io", plural: "networkpolicies", kind: "NetworkPolicy")

  private let kubernetes: KubernetesClient
  private let objects: ObjectStore
  private let credentials: StoreCredentials
  /// The jobs that are followed here, by store.
  private var followed: [String: KubernetesObject] = [:]

  init(_ kubernetes: KubernetesClient, objects: ObjectStore, credentials: StoreCredentials) {
    self.kubernetes = kubernetes
    self.objects = objects
    self.credentials = credentials
  }

  private var deadline: Instant { Instant.now() + Self.requestTimeout }

  // MARK: Calls

  /// How the job of the operation goes, which is begun unless it is there: at once when that differs
  /// from `previous`, else when it does. One that has failed is gone when this tells of it.
  func follow(
    _ purpose: StoreJob.Purpose, _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> JobReport {
    do throws(KubernetesError) {
      if previous == nil { try await begin(purpose, site) }
      let report = try await report(purpose, site, after: previous)
      if case .failed(let failure, let hasChanged) = report {
        try await remove(site)
        return .failed(await redacted(failure, of: site), hasChanged: hasChanged)
      }
      return report
    } catch {
      throw ProvisionFailure(error)
    }
  }

  /// Whether the job of the operation is there, at work or done.
  func isThere(
    _ purpose: StoreJob.Purpose, _ site: StoreSite
  ) async throws(KubernetesError) -> Bool {
    guard let job = try await find(StoreJob.name(purpose, of: site), site) else { return false }
    return !job.isBeingDeleted && job.condition("Failed")?.isTrue != true
  }

  /// What the job of the operation has written.
  func contents(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    do throws(KubernetesError) {
      for pod in try await pods(site) {
        if case .done(let contents?) = JobReport(pod, now: Int64(time(nil))) { return contents }
      }
    } catch {
      throw ProvisionFailure(error)
    }
    throw ProvisionFailure(.jobInterrupted, "the job is gone, and what it reported with it")
  }

  /// Removes the jobs of the store's namespace with what belongs to them; returns when nothing of them
  /// runs any more.
  func remove(_ site: StoreSite) async throws(KubernetesError) {
    let selection = ObjectSelection(
      namespace: site.namespace, labelSelector: StoreJob.purposeLabel)
    for kind in [ResourceKind.jobs, .secrets, Self.networkPolicies] {
      for object in try await kubernetes.listAll(kind, selection, deadline: deadline).objects {
        try await kubernetes.delete(kind, object, deadline: deadline)
      }
    }
    followed[site.store] = nil
    let limit = Instant.now() + Self.endingWait
    while try await !kubernetes.listAll(.pods, selection, deadline: deadline).objects.isEmpty {
      if Instant.now() > limit { throw KubernetesError(.limitReached, "a job's pod does not end") }
      try await nextLook(site)
    }
  }

  /// Stops the job that is followed here, if one is.
  func abandon(_ site: StoreSite) async {
    guard let job = followed.removeValue(forKey: site.store) else { return }
    try? await kubernetes.delete(.jobs, job, deadline: deadline)
  }

  // MARK: Beginning

  private func begin(
    _ purpose: StoreJob.Purpose, _ site: StoreSite
  ) async throws(KubernetesError) {
    let name = StoreJob.name(purpose, of: site)
    var job = try await find(name, site)
    if let found = job, found.isBeingDeleted || found.condition("Failed")?.isTrue == true {
      job = nil
    }
    if job == nil { try await remove(site) }
    let plan = StoreJob(
      purpose, of: site,
      program: try await kubernetes.get(
        .deployments, namespace: site.namespace, name: site.engine.workload, deadline: deadline),
      database: try await kubernetes.get(
        .statefulSets, namespace: site.namespace, name: site.engine.database.workload,
        deadline: deadline))
    if job == nil {
      try await applyBelongings(of: plan, owner: nil)
      job = try await kubernetes.create(
        .jobs, namespace: site.namespace, plan.manifest, deadline: deadline)
    }
    // From now on they go with it, whoever removes it.
    try await applyBelongings(of: plan, owner: job)
    followed[site.store] = job
  }

  private func applyBelongings(
    of plan: StoreJob, owner: KubernetesObject?
  ) async throws(KubernetesError) {
    let namespace = plan.site.namespace
    try await kubernetes.apply(
      .secrets, namespace: namespace, name: plan.name,
      plan.secret(files: files(of: plan), owner: owner), deadline: deadline)
    let access = objects.access
    try await kubernetes.apply(
      Self.networkPolicies, namespace: namespace, name: plan.name,
      plan.ownPolicy(
        destination: Self.isIPv4(access.address.host) ? access.address.host : nil,
        port: access.port, owner: owner), deadline: deadline)
    // Where nothing closes the database, a rule that opens it would.
    guard plan.purpose.usesDatabase, try await isClosed(namespace) else { return }
    try await kubernetes.apply(
      Self.networkPolicies, namespace: namespace, name: "\(plan.name)-database",
      plan.databasePolicy(owner: owner), deadline: deadline)
  }

  private func files(of plan: StoreJob) -> [(name: String, text: String)] {
    var files = JobScripts.files(for: plan.site.engine)
    guard let backup = plan.site.backup else { return files }
    files.append(("get-address", objects.grant(.get, backup)))
    if plan.purpose == .backup { files.append(("put-address", objects.grant(.put, backup))) }
    if let contents = backup.contents {
      files.append(("contents", "\(contents.bytes) \(contents.sha256)"))
    }
    return files
  }

  private static func isIPv4(_ host: String) -> Bool {
    var address = in_addr()
    return inet_pton(AF_INET, host, &address) == 1
  }

  private func isClosed(_ namespace: String) async throws(KubernetesError) -> Bool {
    do throws(KubernetesError) {
      _ = try await kubernetes.get(
        Self.networkPolicies, namespace: namespace, name: Self.closingPolicy, deadline: deadline)
      return true
    } catch {
      if error.kind == .notFound { return false }
      throw error
    }
  }

  // MARK: Following

  private func report(
    _ purpose: StoreJob.Purpose, _ site: StoreSite, after previous: BackendProgress?
  ) async throws(KubernetesError) -> JobReport {
    let name = StoreJob.name(purpose, of: site)
    while true {
      if Task.isCancelled { throw KubernetesError(.cancelled, "") }
      guard let job = try await find(name, site) else {
        return .failed(
          ProvisionFailure(.jobInterrupted, "the job \(name) was removed"),
          hasChanged: purpose == .restore)
      }
      let report = try await state(of: job, site)
      guard case .running(let progress) = report, progress == previous else { return report }
      try await nextLook(site)
    }
  }

  private func state(
    of job: KubernetesObject, _ site: StoreSite
  ) async throws(KubernetesError) -> JobReport {
    let own = try await pods(site).filter { pod in
      pod["metadata", "ownerReferences"]?.array?.contains { $0["uid"]?.string == job.uid } ?? false
    }
    // Whose time is over has its pod ended, which says of itself only that it was.
    let end = job.condition("Failed").flatMap { $0.isTrue ? $0 : nil }
    let isLate = end?.reason == "DeadlineExceeded"
    if let pod = own.first, !isLate { return JobReport(pod, now: Int64(time(nil))) }
    if let end {
      return .failed(
        // What its pod did is not known any more.
        ProvisionFailure(isLate ? .jobTimedOut : .jobInterrupted, end.message), hasChanged: true)
    }
    if let refusal = try await refusal(of: job) {
      return .failed(ProvisionFailure(refusal), hasChanged: false)
    }
    return .running(
      BackendProgress(isDone: false, fraction: 0, detail: "waits for the job's pod"))
  }

  /// Why the job has no pod.
  private func refusal(
    of job: KubernetesObject
  ) async throws(KubernetesError) -> KubernetesError? {
    let events = try await kubernetes.listAll(
      .events,
      ObjectSelection(
        namespace: job.namespace,
        fieldSelector: "involvedObject.uid=\(job.uid),reason=FailedCreate"), deadline: deadline)
    guard let message = events.objects.last?["message"]?.string else { return nil }
    return KubernetesError(
      message.contains("exceeded quota") ? .quotaExceeded : .admissionDenied, message)
  }

  private func find(
    _ name: String, _ site: StoreSite
  ) async throws(KubernetesError) -> KubernetesObject? {
    do throws(KubernetesError) {
      return try await kubernetes.get(
        .jobs, namespace: site.namespace, name: name, deadline: deadline)
    } catch {
      if error.kind == .notFound { return nil }
      throw error
    }
  }

  private func pods(_ site: StoreSite) async throws(KubernetesError) -> [KubernetesObject] {
    try await kubernetes.listAll(
      .pods,
      ObjectSelection(
        namespace: site.namespace,
        labelSelector: "\(StoreJob.operationLabel)=\(site.operation)"), deadline: deadline
    ).objects
  }

  /// Returns when something has changed with the jobs' pods, or after a while.
  private func nextLook(_ site: StoreSite) async throws(KubernetesError) {
    let watch = try kubernetes.watch(.pods, labelSelector: StoreJob.purposeLabel)
    let changes = try AnyChange(of: [watch], in: site.namespace, on: kubernetes.reactor)
    defer { changes.cancel() }
    await changes.next(until: Instant.now() + Self.lookInterval)
    if Task.isCancelled { throw KubernetesError(.cancelled, "") }
  }

  /// Without what must not be shown; without its words, where that is not known.
  private func redacted(
    _ failure: ProvisionFailure, of site: StoreSite
  ) async -> ProvisionFailure {
    let known = try? await credentials.ensure(site)
    return ProvisionFailure(
      failure.code, known.map { Redaction.redact(failure.detail, $0.secrets) } ?? "",
      retryAfter: failure.retryAfter)
  }
}
