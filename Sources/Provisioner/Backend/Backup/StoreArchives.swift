import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Backups of stores and what is made from them: the jobs, and the stop of what serves meanwhile.
/// Confined to its reactor.
final class StoreArchives {
  static let requestTimeout = Duration.seconds(25)
  private static let lookInterval = Duration.seconds(1)
  /// For the store's pods to end. One that is being started ends only once it has been, and then has its
  /// grace.
  static let endingWait = Duration.seconds(180)
  /// How many pods a Deployment had before it was stopped.
  private static let replicasAnnotation = "storeplane.dev/replicas-before-restore"

  /// The operation that may have changed data since.
  private static let restoreAnnotation = "storeplane.dev/restored-by"
  private static let touchedMax = 256

  /// Operations of which an earlier attempt may have changed data.
  private var touched: Set<String> = []
  private let kubernetes: KubernetesClient
  private let objects: ObjectStore
  private let jobs: StoreJobs
  private let rollouts: StoreRollout

  init(
    _ kubernetes: KubernetesClient, objects: ObjectStore, credentials: StoreCredentials,
    rollouts: StoreRollout
  ) {
    self.kubernetes = kubernetes
    self.objects = objects
    self.rollouts = rollouts
    jobs = StoreJobs(kubernetes, objects: objects, credentials: credentials)
  }

  private var deadline: Instant { Instant.now() + Self.requestTimeout }

  // MARK: Backups

  func backUp(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    switch try await jobs.follow(.backup, site, after: previous) {
    case .running(let progress): return progress
    case .done:
      return BackendProgress(isDone: true, fraction: 1, detail: "the archive is written")
    case .failed(let failure, _): throw failure
    }
  }

  /// The job has read the file back and compared it; that it is there as long is asked here.
  func check(_ site: StoreSite) async throws(ProvisionFailure) -> BackupContents {
    let contents = try await jobs.contents(site)
    guard let backup = site.backup else { throw ProvisionFailure(.backupMissing) }
    try await requireSize(contents.bytes, of: backup)
    return contents
  }

  /// Brings a backup back beside the store, in a pod that has nothing of it.
  func test(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      guard let backup = site.backup, let contents = backup.contents else {
        throw ProvisionFailure(.backupMissing)
      }
      try await requireSize(contents.bytes, of: backup)
    }
    switch try await jobs.follow(.test, site, after: previous) {
    case .running(let progress): return progress
    case .done:
      return BackendProgress(isDone: true, fraction: 1, detail: "a store can be brought to it")
    case .failed(let failure, _): throw failure
    }
  }

  private func requireSize(
    _ bytes: Int64, of backup: StoreBackup
  ) async throws(ProvisionFailure) {
    let found = try await objects.size(of: backup)
    guard found == bytes else {
      throw ProvisionFailure(.backupDamaged, "the file has \(found) bytes, not \(bytes)")
    }
  }

  func remove(_ backup: StoreBackup) async throws(ProvisionFailure) {
    try await objects.remove(backup)
  }

  func removeJob(_ site: StoreSite) async throws(ProvisionFailure) {
    do throws(KubernetesError) {
      try await jobs.remove(site)
    } catch {
      throw ProvisionFailure(error)
    }
  }

  func abandon(_ site: StoreSite) async { await jobs.abandon(site) }

  // MARK: Restores

  func restore(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil { try await prepare(site) }
    let report: JobReport
    do {
      report = try await jobs.follow(.restore, site, after: previous)
    } catch {
      if previous == nil { await startAgain(site, after: error) }
      throw error
    }
    switch report {
    case .running(let progress): return progress
    case .done: return BackendProgress(isDone: true, fraction: 1, detail: "the data is there")
    case .failed(let failure, let hasChanged):
      let isIntact = !hasChanged && !touched.contains(site.operation)
      if isIntact {
        try await asKubernetes { () throws(KubernetesError) in try await self.scaleBack(site) }
      }
      let consequence =
        isIntact
        ? "the store's data is as it was, and is served again"
        : "the store may have lost data, and serves nothing"
      throw ProvisionFailure(
        failure.code,
        failure.detail.isEmpty ? consequence : "\(failure.detail); \(consequence)",
        retryAfter: failure.retryAfter)
    }
  }

  /// What can be known to fail is known before the store stops serving.
  private func prepare(_ site: StoreSite) async throws(ProvisionFailure) {
    guard let backup = site.backup, let contents = backup.contents else {
      throw ProvisionFailure(.backupMissing)
    }
    try await requireSize(contents.bytes, of: backup)
    do throws(KubernetesError) {
      // Of a job that is gone nobody knows what it did.
      let wasBegun = try await deployments(site).contains {
        $0.annotations[Self.restoreAnnotation] == site.operation
      }
      if wasBegun, try await !jobs.isThere(.restore, site) {
        if touched.count >= Self.touchedMax { touched = [] }
        touched.insert(site.operation)
      }
      try await scaleDown(site)
    } catch {
      let failure = ProvisionFailure(error)
      await startAgain(site, after: failure)
      throw failure
    }
  }

  /// After a failure before there was a job: nothing has been changed. Best effort; where Kubernetes is
  /// away the next attempt goes on.
  private func startAgain(_ site: StoreSite, after failure: ProvisionFailure) async {
    guard failure.code != .cancelled, !touched.contains(site.operation) else { return }
    do throws(KubernetesError) {
      if try await !jobs.isThere(.restore, site) { try await scaleBack(site) }
    } catch {
      // Told by the failure before it.
    }
  }

  /// Starts what a restore has stopped that did not come to its end, and that Helm leaves as it is, for an
  /// autoscaler.
  func restart(_ site: StoreSite) async throws(ProvisionFailure) {
    try await asKubernetes { () throws(KubernetesError) in try await self.scaleBack(site) }
  }

  func start(
    _ site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    if previous == nil {
      try await asKubernetes { () throws(KubernetesError) in try await self.scaleBack(site) }
    }
    return try await rollouts.status(of: site, after: previous)
  }

  private func asKubernetes(
    _ body: () async throws(KubernetesError) -> Void
  ) async throws(ProvisionFailure) {
    do throws(KubernetesError) {
      try await body()
    } catch {
      throw ProvisionFailure(error)
    }
  }

  // MARK: Pods

  /// Stops what uses the database, and returns when none of it runs.
  private func scaleDown(_ site: StoreSite) async throws(KubernetesError) {
    let deployments = try await deployments(site)
    for deployment in deployments {
      let replicas = deployment["spec", "replicas"]?.int64 ?? 1
      let before = Int64(deployment.annotations[Self.replicasAnnotation] ?? "") ?? replicas
      try await scale(deployment, to: 0, remembering: (before, site.operation))
    }
    let limit = Instant.now() + Self.endingWait
    while try await hasPods(deployments, site) {
      if Instant.now() > limit {
        throw KubernetesError(.limitReached, "the store's pods do not end")
      }
      let watch = try kubernetes.watch(.pods, labelSelector: StoreRollout.labelSelector)
      let changes = try AnyChange(of: [watch], in: site.namespace, on: kubernetes.reactor)
      defer { changes.cancel() }
      await changes.next(until: Instant.now() + Self.lookInterval)
      if Task.isCancelled { throw KubernetesError(.cancelled, "") }
    }
  }

  private func hasPods(
    _ deployments: [KubernetesObject], _ site: StoreSite
  ) async throws(KubernetesError) -> Bool {
    for deployment in deployments {
      let labels = deployment.matchLabels
      let selection = ObjectSelection(namespace: site.namespace, labelSelector: labels)
      if try await !kubernetes.listAll(.pods, selection, deadline: deadline).objects.isEmpty {
        return true
      }
    }
    return false
  }

  /// Starts again what `scaleDown` has stopped.
  private func scaleBack(_ site: StoreSite) async throws(KubernetesError) {
    for deployment in try await deployments(site) {
      guard let text = deployment.annotations[Self.replicasAnnotation], let replicas = Int64(text)
      else { continue }
      // Somebody has started it since, with as many as there are to be.
      let present = deployment["spec", "replicas"]?.int64 ?? 1
      try await scale(deployment, to: present > 0 ? present : replicas, remembering: nil)
    }
  }

  private func deployments(
    _ site: StoreSite
  ) async throws(KubernetesError) -> [KubernetesObject] {
    try await kubernetes.listAll(
      .deployments,
      ObjectSelection(namespace: site.namespace, labelSelector: StoreRollout.labelSelector),
      deadline: deadline
    ).objects
  }

  private func scale(
    _ deployment: KubernetesObject, to replicas: Int64,
    remembering before: (replicas: Int64, operation: String)?
  ) async throws(KubernetesError) {
    var annotations = JSONObject()
    annotations[Self.replicasAnnotation] = before.map { .string(String($0.replicas)) } ?? .null
    annotations[Self.restoreAnnotation] = before.map { .string($0.operation) } ?? .null
    try await kubernetes.merge(
      .deployments, namespace: deployment.namespace, name: deployment.name,
      [
        "metadata": ["annotations": .object(annotations)],
        "spec": ["replicas": .number(JSONNumber(replicas))],
      ], deadline: deadline)
  }
}

extension KubernetesObject {
  /// `spec.selector.matchLabels`, as a label selector.
  var matchLabels: String {
    let labels = self["spec", "selector", "matchLabels"]?.object?.members ?? []
    return labels.map { "\($0.key)=\($0.value.string ?? "")" }.joined(separator: ",")
  }
}
