import JSON
import Kubernetes
import Logging
import ProvisionerService
import Reactor

/// The volumes of a store that is to go: they are in no namespace, and outlive its own. Confined to its
/// reactor.
final class StoreVolumes {
  private static let requestTimeout = Duration.seconds(25)
  /// They can be selected by no field or label: all of the cluster are gone through, a page at a time.
  private static let pageObjects = 500
  /// Of those that are named; a store has up to four.
  static let namesMax = 8

  private let kubernetes: KubernetesClient
  private let logger: Logger
  /// Between looks while some are removed.
  private let lookInterval: Duration

  init(
    _ kubernetes: KubernetesClient, logger: Logger, lookInterval: Duration = .seconds(5)
  ) {
    self.kubernetes = kubernetes
    self.logger = logger
    self.lookInterval = lookInterval
  }

  private static let gone = BackendProgress(
    isDone: true, fraction: 1, detail: "the namespace is gone, and its volumes")

  /// What is to be said of volumes that are there.
  private struct Remains {
    let words: String
    /// Whether they will go by themselves.
    let isAwaited: Bool
  }

  /// How far the removal of the volumes is, once the namespace is gone. Those that the cluster's operator
  /// has it keep are told of once, and not waited for.
  func removal(
    of site: StoreSite, after previous: BackendProgress?
  ) async throws(ProvisionFailure) -> BackendProgress {
    while true {
      guard let remains = try await look(site) else { return Self.gone }
      let progress = BackendProgress(isDone: false, fraction: 0.9, detail: remains.words)
      if progress != previous {
        if !remains.isAwaited {
          logger.warning(
            "left of a deleted store",
            metadata: ["store": "\(site.store)", "what": "\(remains.words)"])
        }
        return progress
      }
      if !remains.isAwaited {
        return BackendProgress(isDone: true, fraction: 1, detail: remains.words)
      }
      await pause(lookInterval, on: kubernetes.reactor)
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
    }
  }

  private func look(_ site: StoreSite) async throws(ProvisionFailure) -> Remains? {
    do throws(KubernetesError) {
      return Self.remains(try await volumes(of: site.namespace))
    } catch {
      if error.kind != .forbidden { throw ProvisionFailure(error) }
      return Remains(
        words: "whether its volumes are gone cannot be seen: we may not list persistentvolumes",
        isAwaited: false)
    }
  }

  private func volumes(of namespace: String) async throws(KubernetesError) -> [KubernetesObject] {
    let deadline = Instant.now() + Self.requestTimeout
    var found: [KubernetesObject] = []
    var token: String?
    repeat {
      let page = try await kubernetes.list(
        .persistentVolumes, limit: Self.pageObjects, continuing: token, deadline: deadline)
      found += page.objects.filter { $0["spec", "claimRef", "namespace"]?.string == namespace }
      token = page.continueToken
    } while token != nil
    return found
  }

  private static func remains(_ volumes: [KubernetesObject]) -> Remains? {
    func isKept(_ volume: KubernetesObject) -> Bool {
      volume["spec", "persistentVolumeReclaimPolicy"]?.string == "Retain"
    }
    let (kept, awaited) = (volumes.filter(isKept), volumes.filter { !isKept($0) })
    if !awaited.isEmpty {
      return Remains(words: "waits for the removal of \(names(awaited))", isAwaited: true)
    }
    if kept.isEmpty { return nil }
    return Remains(
      words: "kept, with the store's data, by the reclaim policy Retain: \(names(kept))",
      isAwaited: false)
  }

  /// With what they say of themselves.
  private static func names(_ volumes: [KubernetesObject]) -> String {
    let told = volumes.prefix(namesMax).map { volume in
      let phase = volume["status", "phase"]?.string ?? ""
      let state = [phase].filter { !$0.isEmpty } + (volume.isBeingDeleted ? volume.finalizers : [])
      return "volume \(volume.name)" + (state.isEmpty ? "" : " (\(state.joined(separator: ", ")))")
    }
    let rest = volumes.count - told.count
    return told.joined(separator: ", ") + (rest > 0 ? " and \(rest) more" : "")
  }
}
