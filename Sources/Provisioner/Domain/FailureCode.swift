/// What kind of failure stopped a step. Codes are added, never renamed: programs act on them.
package enum FailureCode: String, CaseIterable, Sendable {
  // The cluster.
  case clusterUnreachable = "CLUSTER_UNREACHABLE"
  case clusterThrottled = "CLUSTER_THROTTLED"
  case clusterForbidden = "CLUSTER_FORBIDDEN"
  case clusterReplaced = "CLUSTER_REPLACED"
  case admissionDenied = "ADMISSION_DENIED"
  case admissionTimedOut = "ADMISSION_TIMED_OUT"
  case quotaExceeded = "QUOTA_EXCEEDED"
  case hostConflict = "HOST_CONFLICT"
  case namespaceTerminating = "NAMESPACE_TERMINATING"
  case namespaceForeign = "NAMESPACE_FOREIGN"
  case namespaceStuck = "NAMESPACE_STUCK"
  case removalTimedOut = "REMOVAL_TIMED_OUT"
  // Helm.
  case helmUnavailable = "HELM_UNAVAILABLE"
  case helmFailed = "HELM_FAILED"
  case helmCrashed = "HELM_CRASHED"
  case releaseLocked = "RELEASE_LOCKED"
  case releaseTooLarge = "RELEASE_TOO_LARGE"
  case chartInvalid = "CHART_INVALID"
  case fieldImmutable = "FIELD_IMMUTABLE"
  case releaseGone = "RELEASE_GONE"
  case chartOutdated = "CHART_OUTDATED"
  // Pods.
  case imageNameInvalid = "IMAGE_NAME_INVALID"
  case imagePullFailed = "IMAGE_PULL_FAILED"
  case containerConfigInvalid = "CONTAINER_CONFIG_INVALID"
  case crashLoop = "CRASH_LOOP"
  case outOfMemory = "OUT_OF_MEMORY"
  case volumePending = "VOLUME_PENDING"
  case unschedulable = "UNSCHEDULABLE"
  case rolloutTimedOut = "ROLLOUT_TIMED_OUT"
  // Set-up.
  case credentialsUnavailable = "CREDENTIALS_UNAVAILABLE"
  case setupInterrupted = "SETUP_INTERRUPTED"
  case setupFailed = "SETUP_FAILED"
  case pluginUnavailable = "PLUGIN_UNAVAILABLE"
  case verificationFailed = "VERIFICATION_FAILED"
  // Backups.
  case backupStoreUnreachable = "BACKUP_STORE_UNREACHABLE"
  case backupStoreDenied = "BACKUP_STORE_DENIED"
  case backupNoRoom = "BACKUP_NO_ROOM"
  case backupTooLarge = "BACKUP_TOO_LARGE"
  case backupMissing = "BACKUP_MISSING"
  case backupDamaged = "BACKUP_DAMAGED"
  case dumpFailed = "DUMP_FAILED"
  case loadFailed = "LOAD_FAILED"
  case jobInterrupted = "JOB_INTERRUPTED"
  case jobTimedOut = "JOB_TIMED_OUT"
  // The work itself.
  case stepTimedOut = "STEP_TIMED_OUT"
  case operationTimedOut = "OPERATION_TIMED_OUT"
  case interrupted = "INTERRUPTED"
  case cancelled = "CANCELLED"
  case unexpected = "UNEXPECTED"
}

/// What a failed call says about the dependency behind its circuit breaker.
package enum DependencyVerdict: Sendable {
  /// It answered; the failure is the request's own.
  case answered
  /// It failed as a whole.
  case failed
  /// Nothing learnt: it is busy, or we stopped.
  case inconclusive
}

extension FailureCode {
  /// What is known of a kind of failure.
  private struct Traits {
    let isRetryable: Bool
    var isOutage = false
    let isUserFault: Bool
    let verdict: DependencyVerdict
    /// What happened, in words.
    let summary: String
    /// What would help.
    let remedy: String
  }

  /// Whether the same step may succeed without a change.
  package var isRetryable: Bool { traits.isRetryable }
  /// Whether something that all stores need is away or too busy, which says nothing of this one: it is
  /// waited for longer than a fault of the step itself.
  package var isOutage: Bool { traits.isOutage }
  /// Whether the cause lies in what the tenant asked for.
  package var isUserFault: Bool { traits.isUserFault }
  package var verdict: DependencyVerdict { traits.verdict }
  package var summary: String { traits.summary }
  package var remedy: String { traits.remedy }

  /// Those of a test that say that its backup is good for nothing.
  package static let ofBackups: Set<FailureCode> = [.backupMissing, .backupDamaged, .loadFailed]

  private static func passing(
    _ verdict: DependencyVerdict, _ summary: String, _ remedy: String
  ) -> Traits {
    Traits(
      isRetryable: true, isUserFault: false, verdict: verdict, summary: summary, remedy: remedy)
  }

  private static func outage(
    _ verdict: DependencyVerdict, _ summary: String, _ remedy: String
  ) -> Traits {
    Traits(
      isRetryable: true, isOutage: true, isUserFault: false, verdict: verdict, summary: summary,
      remedy: remedy)
  }

  private static func lasting(_ summary: String, _ remedy: String) -> Traits {
    Traits(
      isRetryable: false, isUserFault: false, verdict: .answered, summary: summary, remedy: remedy)
  }

  private static func userFault(_ summary: String, _ remedy: String) -> Traits {
    Traits(
      isRetryable: false, isUserFault: true, verdict: .answered, summary: summary, remedy: remedy)
  }

  private var traits: Traits {
    switch self {
    case .clusterUnreachable, .clusterThrottled, .clusterForbidden, .clusterReplaced,
      .admissionDenied, .admissionTimedOut, .quotaExceeded, .hostConflict, .namespaceTerminating,
      .namespaceForeign,
      .namespaceStuck, .removalTimedOut:
      clusterTraits
    case .helmUnavailable, .helmFailed, .helmCrashed, .releaseLocked, .releaseTooLarge,
      .chartInvalid,
      .fieldImmutable, .releaseGone, .chartOutdated:
      helmTraits
    case .imageNameInvalid, .imagePullFailed, .containerConfigInvalid, .crashLoop, .outOfMemory,
      .volumePending, .unschedulable, .rolloutTimedOut:
      podTraits
    case .backupStoreUnreachable, .backupStoreDenied, .backupNoRoom, .backupTooLarge,
      .backupMissing, .backupDamaged, .dumpFailed, .loadFailed, .jobInterrupted, .jobTimedOut:
      backupTraits
    default: workTraits
    }
  }

  private var clusterTraits: Traits {
    switch self {
    case .clusterThrottled:
      Self.outage(
        .inconclusive, "the Kubernetes API is too busy", "try again when it is less loaded")
    case .clusterForbidden:
      Self.lasting(
        "the Kubernetes API refused the provisioner",
        "an operator must give it the rights that the chart lists")
    case .clusterReplaced:
      // As far as its stores go, it is away.
      Self.outage(
        .failed, "another Kubernetes cluster answers in the place of the store's own",
        "retry when an operator has seen to how the cluster is reached")
    case .admissionDenied:
      Self.userFault(
        "a policy of the cluster denied an object of the store", "change what it objects to")
    case .admissionTimedOut:
      Self.passing(
        .answered, "a policy of the cluster did not answer", "try again when its webhook is up")
    case .quotaExceeded:
      Self.userFault("the store's quota is used up", "choose a larger plan, then retry")
    case .hostConflict:
      Self.userFault(
        "the store's host name is taken by another ingress", "choose another name for the store")
    case .namespaceTerminating:
      Self.passing(
        .answered, "the store's former namespace is still being removed", "wait until it is gone")
    case .namespaceForeign:
      Self.lasting(
        "the store's namespace is there already, and is not the platform's",
        "an operator must see whose it is, and remove it")
    case .namespaceStuck:
      Self.lasting(
        "the store's namespace cannot be removed",
        "an operator must see to the objects and finalizers named here, then delete again")
    case .removalTimedOut:
      Self.lasting(
        "the store's namespace and its volumes were not gone in time",
        "delete again; if they stay, an operator must see to what is named here")
    default:
      Self.outage(
        .failed, "the Kubernetes API cannot be reached", "retry when the cluster is back")
    }
  }

  private var helmTraits: Traits {
    switch self {
    case .helmFailed:
      Self.passing(.answered, "Helm failed", "see the reason, then retry")
    case .helmCrashed:
      // That of one store says nothing of Helm.
      Self.passing(
        .inconclusive, "Helm ended while it worked on this store alone",
        "an operator must see to the store's values and the chart, then retry")
    case .releaseLocked:
      Self.passing(
        .answered, "another Helm action holds the release", "retry when it has ended")
    case .releaseTooLarge:
      Self.lasting(
        "the release is larger than Kubernetes stores (1 MiB)", "an operator must shrink the chart")
    case .chartInvalid:
      Self.lasting(
        "the chart cannot be rendered with the store's values",
        "correct the values, or have an operator see to the chart")
    case .fieldImmutable:
      Self.lasting(
        "a field of a running object cannot be changed",
        "an operator must replace the object that is named here")
    case .chartOutdated:
      Self.lasting(
        "the store runs another chart than the platform's present one", "upgrade the store first")
    case .releaseGone:
      Self.lasting(
        "Helm keeps no record of the release that the store was to go back to",
        "go back to a later release, or upgrade the store")
    default:
      Self.outage(.failed, "Helm cannot be reached", "retry in a minute")
    }
  }

  private var podTraits: Traits {
    switch self {
    case .imageNameInvalid:
      Self.lasting(
        "the name of an image is not valid",
        "an operator must correct the chart's image")
    case .imagePullFailed:
      Self.lasting(
        "an image cannot be pulled", "see that it exists and can be read, then retry")
    case .containerConfigInvalid:
      Self.lasting(
        "a container cannot be started as configured", "see the reason; an operator must correct it"
      )
    case .crashLoop:
      Self.lasting("a container ends again and again", "see the end of its log, then retry")
    case .outOfMemory:
      Self.userFault("a container needs more memory than it may use", "choose a larger plan")
    case .volumePending:
      Self.lasting(
        "a volume cannot be made", "an operator must see to the cluster's storage class")
    case .unschedulable:
      Self.passing(
        .answered, "no node of the cluster takes the store's pods",
        "an operator must make room, then retry")
    default:
      Self.passing(
        .answered, "the store's pods were not ready in time",
        "see the reason, then retry")
    }
  }

  private var backupTraits: Traits {
    switch self {
    case .backupStoreDenied:
      Self.lasting(
        "the object store of the backups refused the platform",
        "an operator must see to the bucket and to what the key may do, then ask again")
    case .backupNoRoom:
      Self.lasting(
        "there is no room for the backup",
        "an operator must see to the room in the object store and on the nodes, then ask again")
    case .backupTooLarge:
      Self.lasting(
        "the backup is larger than one object may be",
        "have the store hold less, or have an operator back it up in another way")
    case .backupMissing:
      Self.lasting("the backup's file is not there", "choose another backup")
    case .backupDamaged:
      Self.lasting("the backup's file is damaged", "choose another backup; tell an operator")
    case .dumpFailed:
      Self.passing(.answered, "the store's data cannot be read", "see the reason, then ask again")
    case .loadFailed:
      Self.passing(
        .answered, "the backup's data cannot be loaded",
        "see the reason, then restore the store again, or from another backup")
    case .jobInterrupted:
      Self.passing(.answered, "the store's job was cut off", "ask again")
    case .jobTimedOut:
      Self.passing(.inconclusive, "the store's job took too long", "ask again when less goes on")
    default:
      Self.outage(
        .inconclusive, "the object store of the backups cannot be reached",
        "ask again when it is back; an operator must see that the stores' pods reach it")
    }
  }

  private var workTraits: Traits {
    switch self {
    case .credentialsUnavailable:
      Self.outage(
        .inconclusive, "the store's credentials cannot be had",
        "retry when the config service is up")
    case .setupInterrupted:
      Self.passing(.answered, "the store's set-up was cut off", "retry: it goes on where it was")
    case .setupFailed:
      Self.lasting("the store's set-up failed", "see the reason, then retry")
    case .pluginUnavailable:
      Self.passing(
        .answered, "a plugin cannot be had",
        "an operator must name a source that the store's pod can read (woocommerce.pluginSource, "
          + "wordpress.plugins), then retry")
    case .verificationFailed:
      Self.passing(
        .answered, "the store does not answer as it should",
        "see the reason, then retry")
    case .stepTimedOut:
      Self.passing(.failed, "a step took too long", "retry")
    case .operationTimedOut:
      Self.lasting("the work took too long as a whole", "see the last reason, then retry")
    case .interrupted:
      Self.lasting(
        "the provisioner died while it worked on the store", "retry: every step can run again")
    case .cancelled:
      Self.lasting(
        "the work was stopped because somebody asked for it",
        "retry, or delete the store")
    default:
      Self.passing(
        .inconclusive, "something went wrong that should not",
        "retry; tell an operator")
    }
  }
}

/// Why a step failed.
package struct ProvisionFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// Bytes of `detail`, which ends up in rows, events and answers; what is longer is cut.
  package static let detailBytesMax = 2_000

  package let code: FailureCode
  /// What exactly failed, for people: names of objects and their reasons, never a secret.
  package let detail: String
  /// What operators read in the log, and no tenant does.
  package let diagnosis: String
  /// How long the other side asked us to wait.
  package let retryAfter: Duration?
  /// What it says of the dependency. The code's verdict unless something better is known; who only says
  /// when to come again is there.
  package let verdict: DependencyVerdict

  package init(
    _ code: FailureCode, _ detail: String = "", diagnosis: String = "",
    retryAfter: Duration? = nil, verdict: DependencyVerdict? = nil
  ) {
    self.code = code
    self.detail = Self.shortened(detail)
    self.diagnosis = Self.shortened(diagnosis)
    self.retryAfter = retryAfter
    self.verdict = verdict ?? (retryAfter == nil ? code.verdict : .inconclusive)
  }

  /// For the log.
  package var description: String {
    "\(code.rawValue): \(problem.message)" + (diagnosis.isEmpty ? "" : " [\(diagnosis)]")
  }

  /// As tenants see it.
  package var problem: StoreProblem {
    let cause = detail.isEmpty ? code.summary : "\(code.summary): \(detail)"
    return StoreProblem(
      code: code.rawValue, message: "\(cause); \(code.remedy)", isRetryable: code.isRetryable,
      isUserFault: code.isUserFault)
  }

  private static func shortened(_ text: String) -> String {
    // PostgreSQL stores no NUL.
    let clean = text.utf8.contains(0) ? String(text.filter { $0 != "\0" }) : text
    if clean.utf8.count <= detailBytesMax { return clean }
    var short = Substring(clean.unicodeScalars.prefix(detailBytesMax))
    while short.utf8.count > detailBytesMax { short = short.dropLast() }
    return short + "…"
  }
}

/// A failure as it is kept and shown.
package struct StoreProblem: Equatable, Sendable {
  package let code: String
  package let message: String
  package let isRetryable: Bool
  package let isUserFault: Bool

  package init(code: String, message: String, isRetryable: Bool, isUserFault: Bool) {
    self.code = code
    self.message = message
    self.isRetryable = isRetryable
    self.isUserFault = isUserFault
  }
}
