import Contracts
import Glibc
import JSON
import Observability
import Protobuf
import RPC
import RPCCore
import Reactor

/// Helm for the provisioner: what the library does, as calls with deadlines.
///
/// Nothing is cancelled with its call. Uninstall and rollback take no cancellation, and an install or
/// upgrade whose context is cancelled only returns, and goes on behind it: said to have ended, it would
/// still change the cluster. The provisioner ends the process instead.
final class HelmService: HelmWorkerV1.HelmServiceHandler {
  struct Limits {
    /// Calls worked on at once; each holds a thread and some 20 MB.
    var callsInProgress = 5
    /// Calls that wait for one of those to end: as many as our server takes streams, and more than a
    /// provisioner has workers, of which each makes one.
    var callsWaiting = 256
    /// Calls that change something, after which the process asks to be replaced.
    var calls: Int64 = 200
    /// Resident memory above which it asks the same.
    var residentBytes: Int64 = 220 * 1024 * 1024
    /// The values of one release.
    var valuesBytes = 1024 * 1024
    /// Revisions kept of a release where the caller names no number.
    var history: Int32 = 5
    /// How long a call may take where the caller names no time.
    var timeoutSeconds: Int64 = 120
  }

  private let helm: LibHelm
  private let limits: Limits
  private let blocking: BlockingPool
  private let loop: EventLoop
  private let startTime: Int64
  private var busy: Set<String> = []
  private var calls: Int64 = 0

  /// Called when the process has done enough and its last call has ended.
  var finished: () -> Void = {}

  init(helm: LibHelm, limits: Limits, loop: EventLoop) {
    self.helm = helm
    self.limits = limits
    self.loop = loop
    blocking = BlockingPool(
      name: "helm", threadsMax: limits.callsInProgress,
      queueMax: limits.callsWaiting)
    startTime = Int64(time(nil)) * 1_000_000_000
  }

  // MARK: Calls

  func install(
    _ request: HelmWorkerV1.InstallRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Release {
    let options = ChangeOptions(
      timeoutSeconds: seconds(request.timeout), isDryRun: request.dryRun, history: nil)
    return try await change(
      .install, request.release, request.chartPath, request.valuesJSON, options)
  }

  func upgrade(
    _ request: HelmWorkerV1.UpgradeRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Release {
    let options = ChangeOptions(
      timeoutSeconds: seconds(request.timeout), isDryRun: request.dryRun,
      history: history(request.historyMax))
    var action = LibHelm.Action.upgrade
    do {
      let current = try await status(try reference(request.release))
      if current.status.isPending, !request.takeOver {
        throw RPCError(
          .failedPrecondition,
          "the release is \(current.status.name ?? "pending"); "
            + "another holder may be at work on it: take it over only with the store's lease held")
      }
    } catch let error as RPCError where error.code == .notFound && request.install {
      action = .install
    }
    return try await change(
      action, request.release, request.chartPath, request.valuesJSON, options)
  }

  func uninstall(
    _ request: HelmWorkerV1.UninstallRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.UninstallResponse {
    let reference = try reference(request.release)
    let options = text { writer in
      writer.key("timeout_seconds")
      writer.integer(seconds(request.timeout))
    }
    var response = HelmWorkerV1.UninstallResponse()
    do {
      try await exclusively(reference) { helm, configuration in
        try helm.uninstall(configuration: configuration, name: reference.name, options: options)
      }
      response.existed = true
    } catch let error as RPCError where error.code == .notFound {
      response.existed = false
    }
    return response
  }

  func rollback(
    _ request: HelmWorkerV1.RollbackRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Release {
    let reference = try reference(request.release)
    let options = text { writer in
      writer.key("timeout_seconds")
      writer.integer(seconds(request.timeout))
      if request.revision > 0 {
        writer.key("version")
        writer.integer(Int64(request.revision))
      }
      writer.key("max_history")
      writer.integer(Int64(history(request.historyMax)))
      writer.key("force_conflicts")
      writer.bool(true)
    }
    try await exclusively(reference) { helm, configuration in
      try helm.rollback(configuration: configuration, name: reference.name, options: options)
    }
    return try await status(reference)
  }

  func getRelease(
    _ request: HelmWorkerV1.GetReleaseRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Release {
    try await status(try reference(request.release))
  }

  func getManifest(
    _ request: HelmWorkerV1.GetManifestRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Manifest {
    let reference = try reference(request.release)
    let summary = try await perform(reference) { helm, configuration in
      try helm.status(configuration: configuration, name: reference.name)
    }
    return try HelmWorkerV1.Manifest(summary: summary)
  }

  func getWorker(
    _ request: HelmWorkerV1.GetWorkerRequest, context: ServerContext
  ) async throws -> HelmWorkerV1.Worker {
    var worker = HelmWorkerV1.Worker()
    worker.processID = getpid()
    worker.startTime = GoogleProtobuf.Timestamp(nanosecondsSince1970: startTime)
    worker.helmVersion = helm.version
    worker.calls = calls
    worker.callsMax = limits.calls
    worker.residentBytes = ResidentMemory.bytes()
    worker.residentBytesMax = limits.residentBytes
    worker.activeCalls = Int32(busy.count)
    worker.draining = isSpent
    return worker
  }

  // MARK: Work

  private struct Reference: Sendable {
    let options: String
    let namespace: String
    let name: String
    var key: String { "\(namespace)/\(name)" }
  }

  private struct ChangeOptions {
    let timeoutSeconds: Int64
    let isDryRun: Bool
    let history: Int32?
  }

  private func change(
    _ action: LibHelm.Action, _ release: HelmWorkerV1.ReleaseReference?, _ chart: String,
    _ values: [UInt8], _ options: ChangeOptions
  ) async throws -> HelmWorkerV1.Release {
    let reference = try reference(release)
    let values = try checked(values)
    let optionText = text { writer in
      writer.key("namespace")
      writer.string(reference.namespace)
      writer.key("timeout_seconds")
      writer.integer(options.timeoutSeconds)
      if options.isDryRun {
        writer.key("dry_run")
        writer.string("server")
      }
      if action == .upgrade {
        writer.key("reset_values")
        writer.bool(true)
        // What an autoscaler or a person has changed of it is the release's.
        writer.key("force_conflicts")
        writer.bool(true)
        if let history = options.history {
          writer.key("max_history")
          writer.integer(Int64(history))
        }
      }
    }
    let summary = try await exclusively(reference) { helm, configuration in
      try helm.perform(
        action, configuration: configuration, chart: chart, name: reference.name, values: values,
        options: optionText)
    }
    return try HelmWorkerV1.Release(summary: summary)
  }

  private func status(_ reference: Reference) async throws -> HelmWorkerV1.Release {
    let summary = try await perform(reference) { helm, configuration in
      try helm.status(configuration: configuration, name: reference.name)
    }
    return try HelmWorkerV1.Release(summary: summary)
  }

  /// As `perform`, for what changes the release: two at once would corrupt its history.
  private func exclusively<R: Sendable>(
    _ reference: Reference,
    _ body: @escaping @Sendable (LibHelm, LibHelm.Handle) throws -> R
  ) async throws -> R {
    guard busy.insert(reference.key).inserted else {
      throw RPCError(.aborted, "another call is at work on release \(reference.key)")
    }
    calls += 1
    defer {
      busy.remove(reference.key)
      if isSpent, busy.isEmpty { finished() }
    }
    return try await perform(reference, body)
  }

  private func perform<R: Sendable>(
    _ reference: Reference,
    _ body: @escaping @Sendable (LibHelm, LibHelm.Handle) throws -> R
  ) async throws -> R {
    let helm = self.helm
    do {
      return try await blocking.run {
        try helm.withConfiguration(options: reference.options) { configuration in
          try body(helm, configuration)
        }
      }
    } catch let error as HelmError {
      throw error.rpcError
    } catch let error as BlockingPoolFull {
      throw RPCError(.resourceExhausted, error.description)
    }
  }

  private var isSpent: Bool {
    calls >= limits.calls || ResidentMemory.bytes() > limits.residentBytes
  }

  // MARK: Arguments

  private func reference(
    _ release: HelmWorkerV1.ReleaseReference?
  ) throws(RPCError) -> Reference {
    guard let release, !release.namespace.isEmpty, !release.name.isEmpty else {
      throw RPCError(.invalidArgument, "release: the namespace and the name are needed")
    }
    let options = text { writer in
      if !release.kubeconfigPath.isEmpty {
        writer.key("kubeconfig_path")
        writer.string(release.kubeconfigPath)
      }
      if !release.kubeconfigContext.isEmpty {
        writer.key("kube_context")
        writer.string(release.kubeconfigContext)
      }
      writer.key("namespace")
      writer.string(release.namespace)
    }
    return Reference(options: options, namespace: release.namespace, name: release.name)
  }

  private func checked(_ values: [UInt8]) throws(RPCError) -> String {
    if values.count > limits.valuesBytes {
      throw RPCError(
        .invalidArgument,
        "values_json: \(values.count) bytes exceed the limit of \(limits.valuesBytes)")
    }
    return values.isEmpty ? "{}" : String(decoding: values, as: UTF8.self)
  }

  private func history(_ wanted: Int32) -> Int32 { wanted > 0 ? wanted : limits.history }

  private func seconds(_ duration: GoogleProtobuf.Duration?) -> Int64 {
    guard let duration, duration.seconds > 0 else { return limits.timeoutSeconds }
    return duration.seconds
  }

  private func text(_ members: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter()
    writer.openObject()
    members(&writer)
    writer.closeObject()
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

extension HelmError {
  var rpcError: RPCError {
    let status: StatusCode =
      switch code {
      case .cancelled: .cancelled
      case .notFound: .notFound
      case .invalidArgument, .chartLoad, .chartInvalid, .values, .render: .invalidArgument
      case .kube, .storage, .io: .unavailable
      // Helm has no code of its own for a name that is taken.
      case .release:
        description.contains("cannot reuse a name") ? .alreadyExists : .failedPrecondition
      case .panic, .unknown: .internal
      }
    // What Helm said is told apart by it from what became of this process.
    let info = GoogleRPC.ErrorInfo(reason: "HELM_\(code)".uppercased(), domain: "storeplane")
    let details = GoogleRPC.Status(
      code: Int32(status.rawValue), message: description,
      details: [GoogleProtobuf.AnyMessage(packing: info)])
    return RPCError(status, description, details: details.serialized())
  }
}

extension HelmWorkerV1.Release {
  /// Reads the library's summary; its notes and manifest are left behind.
  init(summary: String) throws(RPCError) {
    self.init()
    do {
      let object = try JSON(parsing: Array(summary.utf8))
      namespace = try object.string("namespace")
      name = try object.string("name")
      revision = Int32(truncatingIfNeeded: try object.int64("revision"))
      status = Status(helm: try object.string("status"))
      chart = try object.string("chart_name")
      chartVersion = try object.string("chart_version")
    } catch {
      throw RPCError(.internal, "Helm's summary of the release cannot be read: \(error)")
    }
  }
}

extension HelmWorkerV1.Manifest {
  init(summary: String) throws(RPCError) {
    let release = try HelmWorkerV1.Release(summary: summary)
    let manifest = (try? JSON(parsing: Array(summary.utf8)))?["manifest"]?.string
    guard let manifest else {
      throw RPCError(.internal, "Helm's summary of the release has no manifest")
    }
    self.init(revision: release.revision, status: release.status, yaml: Array(manifest.utf8))
  }
}

extension HelmWorkerV1.Release.Status {
  init(helm text: String) {
    let name = "STATUS_" + String(text.uppercased().map { $0 == "-" ? "_" : $0 })
    self = Self(name: name) ?? .unknown
  }

  var isPending: Bool {
    switch self {
    case .pendingInstall, .pendingUpgrade, .pendingRollback: true
    default: false
    }
  }
}
