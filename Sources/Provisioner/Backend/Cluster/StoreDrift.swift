import Contracts
import JSON
import Kubernetes
import ProvisionerService
import Reactor

/// Finds what of a store is not as its release says, by what the API server would make of it: each
/// object of the release is applied as a dry run, with all defaults and admission, and held against
/// what there is. Fields that the release does not name are anybody's.
final class StoreDrift {
  private static let timeout = Duration.seconds(30)
  /// Looks at an object that others change at the same time.
  private static let looksMax = 3

  private let kubernetes: KubernetesClient
  private let releases: HelmReleases

  init(_ kubernetes: KubernetesClient, releases: HelmReleases) {
    self.kubernetes = kubernetes
    self.releases = releases
  }

  func find(_ site: StoreSite) async throws(ProvisionFailure) -> [Drift] {
    let manifest = try await releases.manifest(site)
    if manifest.revision != Int32(clamping: site.helmRevision ?? 0) {
      let wanted = site.helmRevision.map(String.init) ?? "none"
      return [
        Drift(
          object: "Release/\(HelmReleases.name)",
          fields: ["revision \(manifest.revision) in place of \(wanted)"])
      ]
    }
    let objects: [JSON]
    do throws(YAMLDocuments.Failure) {
      objects = try YAMLDocuments.parse(
        String(decoding: manifest.yaml, as: UTF8.self), "the manifest of the release")
    } catch {
      throw ProvisionFailure(.unexpected, error.description)
    }
    let deadline = Instant.now() + Self.timeout
    var drift: [Drift] = []
    for object in objects {
      if let found = try await look(at: object, site, deadline) { drift.append(found) }
    }
    return drift
  }

  private func look(
    at object: JSON, _ site: StoreSite, _ deadline: Instant
  ) async throws(ProvisionFailure) -> Drift? {
    guard let kind = ResourceKind(of: object), let name = object["metadata", "name"]?.string else {
      throw ProvisionFailure(.unexpected, "an object of the release has no kind or no name")
    }
    let title = "\(kind.kind)/\(name)"
    do throws(KubernetesError) {
      for _ in 0..<Self.looksMax {
        let live = try await kubernetes.get(
          kind, namespace: site.namespace, name: name, deadline: deadline)
        let wanted = try await kubernetes.apply(
          kind, namespace: site.namespace, name: name, object, isDryRun: true, deadline: deadline)
        // Somebody was faster; what differs may be theirs.
        if live.resourceVersion != wanted.resourceVersion { continue }
        let fields = ObjectDifference.paths(live.json, wanted.json)
        return fields.isEmpty ? nil : Drift(object: title, fields: fields)
      }
      return nil
    } catch {
      if error.kind == .notFound { return Drift(object: title, fields: []) }
      throw ProvisionFailure(error)
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
