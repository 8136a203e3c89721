import Kubernetes
import ProvisionerService
import Reactor

/// Sets stores up by commands in their pods. Confined to its reactor.
final class StoreSetup {
  private static let requestTimeout = Duration.seconds(20)
  /// Below the step's own limit, so that the reason is told.
  static let timeout = Duration.seconds(290)
  /// Of the command that ends a set-up; an engine waits two seconds for it.
  private static let killTimeout = Duration.milliseconds(1_500)

  private let kubernetes: KubernetesClient
  private let credentials: StoreCredentials
  /// What may be going on in pods, by store.
  private var runs: [String: Run] = [:]
  /// Only set-ups that were cut off stay, until the engine abandons them.
  private static let runsMax = 256

  private struct Run {
    let pod: String
    let name: String
  }

  init(_ kubernetes: KubernetesClient, credentials: StoreCredentials) {
    self.kubernetes = kubernetes
    self.credentials = credentials
  }

  func run(_ site: StoreSite) async throws(ProvisionFailure) {
    let deadline = Instant.now() + Self.timeout
    let known = try await credentials.ensure(site)
    let (user, password) = known.administrator
    let run = String(UInt64.random(in: .min ... .max), radix: 36)
    let script = SetupScript.make(
      .init(title: site.title, user: user, password: password, mail: site.administratorMail),
      for: site.engine, run: run)
    let result: ExecResult
    do throws(KubernetesError) {
      let pod = try await pod(of: site)
      if runs.count >= Self.runsMax { runs = [:] }
      runs[site.store] = Run(pod: pod, name: run)
      result = try await kubernetes.exec(
        .script(script, namespace: site.namespace, pod: pod, container: site.engine.workload),
        deadline: deadline)
      runs[site.store] = nil
    } catch {
      // Of any other end nothing is left in the pod.
      if error.kind != .cancelled && error.kind != .commandInterrupted { runs[site.store] = nil }
      throw ProvisionFailure(error)
    }
    try Self.judge(result, hiding: known.secrets)
  }

  /// Ends what a set-up that was cut off still does in its pod.
  func abandon(_ site: StoreSite) async {
    guard let run = runs.removeValue(forKey: site.store) else { return }
    // Where it cannot be ended, the next one waits for it: both take the same lock in the database.
    _ = try? await kubernetes.exec(
      .script(
        SetupScript.stopping(run: run.name), namespace: site.namespace, pod: run.pod,
        container: site.engine.workload),
      deadline: Instant.now() + Self.killTimeout)
  }

  static func judge(_ result: ExecResult, hiding secrets: [String]) throws(ProvisionFailure) {
    if result.exitCode == 0 { return }
    if let (code, message) = SetupScript.failure(in: result.stdoutText) {
      throw ProvisionFailure(
        FailureCode(rawValue: code) ?? .setupFailed, Redaction.redact(message, secrets))
    }
    do throws(KubernetesError) {
      try result.requireSuccess(redacting: secrets)
    } catch {
      // Killed from outside: by the kernel for want of memory, or with its pod.
      let wasKilled = (129...160).contains(result.exitCode)
      throw ProvisionFailure(wasKilled ? .setupInterrupted : .setupFailed, error.message)
    }
  }

  private func pod(of site: StoreSite) async throws(KubernetesError) -> String {
    let selector = "\(StoreRollout.labelSelector),app.kubernetes.io/name=\(site.engine.workload)"
    let found = try await kubernetes.listAll(
      .pods, ObjectSelection(namespace: site.namespace, labelSelector: selector),
      deadline: Instant.now() + Self.requestTimeout)
    guard let ready = found.objects.map(PodView.init).first(where: \.isReady) else {
      throw KubernetesError(
        .commandInterrupted,
        "no pod of \(site.engine.workload) is ready any more (there are \(found.objects.count))")
    }
    return ready.name
  }
}
