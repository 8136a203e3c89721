import Contracts
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Finds what of a store is not as its release says, by what the API server would make of it: each
/// object of the release is applied as a dry run, with all defaults and admission, and held against
/// what there is. Fields that the release does not name are anybody's.
final class StoreDrift {
  /// Of one request.
  private static let timeout = Duration.seconds(10)
  /// Of a look at a whole store.
  private static let lookTimeout = Duration.seconds(60)
  /// Looks at an object that others change at the same time.
  private static let looksMax = 5

  private let kubernetes: KubernetesClient
  private let releases: HelmReleases

  init(_ kubernetes: KubernetesClient, releases: HelmReleases) {
    self.kubernetes = kubernetes
    self.releases = releases
  }

  func find(_ site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    let title = "Release/\(HelmReleases.name)"
    let manifest: HelmWorkerV1.Manifest
    do {
      manifest = try await releases.manifest(site)
    } catch {
      guard error.code == .releaseGone else { throw error }
      return [Drift(title, .refused("Helm has no record of it"))]
    }
    if manifest.revision != Int32(clamping: site.helmRevision ?? 0) {
      let wanted = site.helmRevision.map(String.init) ?? "none"
      return [Drift(title, .fields(["revision \(manifest.revision) in place of \(wanted)"]))]
    }
    return try await look(at: manifest.objects(), site)
  }

  private func look(
    at objects: [JSON], _ site: StoreSite
  ) async throws(ProvisionFailure) -> [Drift] {
    let deadline = Instant.now() + Self.lookTimeout
    var drift: [Drift] = []
    var unknown: String?
    for object in objects {
      guard Instant.now() < deadline else {
        throw ProvisionFailure(.stepTimedOut, "a look at the whole store takes too long")
      }
      guard let kind = ResourceKind(of: object), let name = object["metadata", "name"]?.string
      else {
        throw ProvisionFailure(.unexpected, "an object of the release has no kind or no name")
      }
      switch try await look(at: object, kind, name, site) {
      case .found(let difference): drift.append(Drift("\(kind.kind)/\(name)", difference))
      case .changing: unknown = "\(kind.kind)/\(name)"
      case .asItShouldBe: break
      }
    }
    // Nothing is only known to be so of what stood still.
    if drift.isEmpty, let unknown {
      throw ProvisionFailure(.stepTimedOut, "\(unknown) changes all the time")
    }
    return drift
  }

  private enum Look {
    case asItShouldBe
    case found(Drift.Difference)
    case changing
  }

  private func look(
    at object: JSON, _ kind: ResourceKind, _ name: String, _ site: StoreSite
  ) async throws(ProvisionFailure) -> Look {
    do throws(KubernetesError) {
      for _ in 0..<Self.looksMax {
        let live = try await kubernetes.get(
          kind, namespace: site.namespace, name: name, deadline: .now() + Self.timeout)
        let wanted = try await kubernetes.apply(
          kind, namespace: site.namespace, name: name, object, isDryRun: true,
          deadline: .now() + Self.timeout)
        // Somebody was faster; what differs may be theirs.
        if live.resourceVersion != wanted.resourceVersion { continue }
        let fields = ObjectDifference.paths(live.json, wanted.json)
        return fields.isEmpty ? .asItShouldBe : .found(.fields(fields))
      }
      return .changing
    } catch {
      guard let difference = Drift.Difference(error) else { throw ProvisionFailure(error) }
      return .found(difference)
    }
  }
}

extension Drift.Difference {
  /// What it means for an object that it cannot be held against the release; nil where that may pass.
  init?(_ error: KubernetesError) {
    switch error.kind {
    case .notFound:
      // Not of the object, but of the kind, which this version of the API does not have any more.
      let isKind = error.reason.isEmpty || error.message.contains("find the requested resource")
      self = isKind ? .refused("the cluster has no such kind any more") : .missing
    case .invalid, .forbidden, .admissionDenied, .quotaExceeded, .rejected:
      // The server's own words may quote values.
      let fields = error.fields.prefix([Drift].toldMax).joined(separator: ", ")
      let reason = error.reason.isEmpty ? "\(error.kind)" : error.reason
      self = .refused(fields.isEmpty ? reason : "\(reason) at \(fields)")
    default: return nil
    }
  }
}

extension ResourceKind {
  /// The kind of an object, whose plural is the one that its name has by Kubernetes' rule.
  init?(of object: JSON) {
    guard let version = object["apiVersion"]?.string, let kind = object["kind"]?.string,
      !kind.isEmpty
    else { return nil }
    let parts = version.split(separator: "/", maxSplits: 1)
    let name = kind.lowercased()
    let plural =
      switch name.last {
      case "s": "\(name)es"
      case "y": "\(name.dropLast())ies"
      default: "\(name)s"
      }
    self.init(
      group: parts.count == 2 ? String(parts[0]) : "", version: String(parts.last ?? ""),
      plural: plural, kind: kind)
  }
}

/// In what two states of an object differ.
enum ObjectDifference {
  /// What changes by itself, and is nobody's wish.
  private static let ignored: Set<String> = [
    "status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation",
  ]

  /// The paths of the fields that differ, such as `spec.containers[0].image`.
  static func paths(_ live: JSON, _ wanted: JSON) -> [String] {
    var paths: [String] = []
    compare(live, wanted, "", &paths)
    return paths
  }

  private static func compare(
    _ live: JSON?, _ wanted: JSON?, _ path: String, _ paths: inout [String]
  ) {
    if live == wanted || ignored.contains(path) { return }
    if let one = live?.object, let other = wanted?.object {
      let keys = Set(one.members.map(\.key) + other.members.map(\.key)).sorted()
      for key in keys {
        compare(one[key], other[key], path.isEmpty ? key : "\(path).\(key)", &paths)
      }
    } else if let one = live?.array, let other = wanted?.array, one.count == other.count {
      for (index, pair) in zip(one, other).enumerated() {
        compare(pair.0, pair.1, "\(path)[\(index)]", &paths)
      }
    } else {
      paths.append(path)
    }
  }
}
