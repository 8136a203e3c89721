import JSON
package import Kubernetes
package import ProvisionerService

/// What a job's pod says of how it went.
package enum JobReport: Equatable, Sendable {
  case running(BackendProgress)
  /// - Parameter contents: of the archive that it wrote; nil for a restore.
  case done(BackupContents?)
  /// - Parameter hasChanged: whether the store's data may not be what it was.
  case failed(ProvisionFailure, hasChanged: Bool)

  /// How long no node may take the pod.
  private static let unschedulableSeconds: Int64 = 60

  /// - Parameter now: seconds since 1970.
  package init(_ pod: KubernetesObject, now: Int64) {
    let view = PodView(pod)
    let ended = Self.ended(pod)
    switch view.phase {
    case "Succeeded": self = .done(ended.lazy.compactMap { Self.contents($0.message) }.first)
    case "Failed": self = Self.failure(pod, ended)
    default:
      if let failure = Self.obstacle(view, now) {
        // It waits for a container to begin: those before it have ended.
        self = .failed(failure, hasChanged: ended.contains { $0.name == "load" })
        return
      }
      let all = view.containers
      let done = ended.count { $0.exitCode == 0 }
      let current = all.first { $0.runningSince != nil }
      self = .running(
        BackendProgress(
          isDone: false, fraction: Double(done) / Double(max(all.count, 1)),
          detail: Self.words[current?.name ?? ""] ?? "waits for the job's pod"))
    }
  }

  /// What the scripts tell of. The tenant's own data is loaded where they do, and may do so in their place:
  /// how the cluster or Helm fares is not for it to say.
  static let codes: Set<FailureCode> = [
    .backupStoreUnreachable, .backupStoreDenied, .backupNoRoom, .backupTooLarge, .backupMissing,
    .backupDamaged, .dumpFailed, .loadFailed, .jobInterrupted,
  ]

  private static let words = [
    "dump": "the database is read", "archive": "the archive is written and read back",
    "fetch": "the archive is fetched and compared", "load": "the database is loaded",
    "files": "the files are put in place",
    "try": "the archive is loaded into a database of its own",
  ]

  private struct End {
    let name: String
    let exitCode: Int64
    let reason: String
    let message: String
  }

  private static func ended(_ pod: KubernetesObject) -> [End] {
    let all =
      (pod["status", "initContainerStatuses"]?.array ?? [])
      + (pod["status", "containerStatuses"]?.array ?? [])
    return all.compactMap { status in
      guard let end = status["state", "terminated"] else { return nil }
      return End(
        name: status["name"]?.string ?? "", exitCode: end["exitCode"]?.int64 ?? -1,
        reason: end["reason"]?.string ?? "", message: end["message"]?.string ?? "")
    }
  }

  /// Of the words `OK BYTES SHA256`.
  private static func contents(_ message: String) -> BackupContents? {
    let parts = message.split(separator: " ")
    guard parts.count == 3, parts[0] == "OK", let bytes = Int64(parts[1]), parts[2].count == 64
    else { return nil }
    return BackupContents(bytes: bytes, sha256: String(parts[2]))
  }

  private static func failure(_ pod: KubernetesObject, _ ended: [End]) -> JobReport {
    if let end = ended.first(where: { $0.exitCode != 0 }) {
      let parts = end.message.split(separator: " ", maxSplits: 2)
      if parts.count >= 2, let code = FailureCode(rawValue: String(parts[0])),
        codes.contains(code)
      {
        let words = parts.count > 2 ? String(parts[2]) : ""
        return .failed(ProvisionFailure(code, words), hasChanged: parts[1] == "changed")
      }
    }
    let reason = pod["status", "reason"]?.string ?? ""
    let message = pod["status", "message"]?.string ?? ""
    let end = ended.first { $0.exitCode != 0 }
    let failure =
      switch reason {
      case "Evicted":
        ProvisionFailure(isAboutDisk(message) ? .backupNoRoom : .jobInterrupted, message)
      case "DeadlineExceeded": ProvisionFailure(.jobTimedOut, message)
      default:
        ProvisionFailure(
          .jobInterrupted,
          end.map { "the container \($0.name) ended with \($0.exitCode) (\($0.reason))" } ?? message
        )
      }
    return .failed(failure, hasChanged: hasChanged(ended))
  }

  /// Whether the kubelet evicted a pod, as it says, for want of room on a disk: the node's, or what the pod
  /// may take of it. Nodes that lack memory or process ids evict too, and another one may have them.
  private static func isAboutDisk(_ message: String) -> Bool {
    let lower = message.lowercased()
    return [
      "ephemeral-storage", "ephemeral storage", "ephemeral local storage", "inodes", "disk",
      "emptydir",
    ]
    .contains { lower.contains($0) }
  }

  /// Whether a container was at work that changes something, or may have been.
  private static func hasChanged(_ ended: [End]) -> Bool {
    ended.contains { $0.name == "fetch" && $0.exitCode == 0 }
  }

  /// What keeps a container from starting, and will go on to.
  private static func obstacle(_ view: PodView, _ now: Int64) -> ProvisionFailure? {
    for container in view.containers {
      let code: FailureCode? =
        switch container.waitingReason {
        case "InvalidImageName": .imageNameInvalid
        case "ImagePullBackOff", "ErrImageNeverPull": .imagePullFailed
        case "CreateContainerConfigError": .containerConfigInvalid
        default: nil
        }
      if let code {
        return ProvisionFailure(code, "\(container.name): \(container.waitingMessage)")
      }
    }
    if let reason = view.unschedulableReason,
      now - (view.object.createdAt ?? now) > unschedulableSeconds
    {
      return ProvisionFailure(.unschedulable, reason)
    }
    return nil
  }
}
