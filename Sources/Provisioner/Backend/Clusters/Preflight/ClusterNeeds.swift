import Foundation
import JSON

/// What the chart, with the operator's values, needs of a cluster.
struct ClusterNeeds: Equatable, Sendable {
  /// The lowest version of Kubernetes; nil where the chart names none.
  var version: KubernetesVersion?
  /// Names of storage classes.
  var storageClasses: [String] = []
  var needsDefaultStorageClass = false
  var needsIngress = false
  /// Empty: the default one.
  var ingressClass = ""
  var needsGatewayAPI = false
  /// Of cert-manager.
  var needsCertificates = false
  var needsNetworkPolicies = false
  /// Of Prometheus' operator.
  var needsMonitors = false

  /// - Parameters:
  ///   - chart: the chart's folder.
  ///   - operatorValues: what goes over the chart's own values.
  static func read(
    chart: String, operatorValues: JSONObject
  ) throws(ValuesFile.Failure) -> ClusterNeeds {
    let path = "\(chart)/Chart.yaml"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ValuesFile.Failure(description: "\(path) cannot be read; CHART_PATH names its folder")
    }
    let metadata = try ValuesFile.parse(String(decoding: data, as: UTF8.self), path)
    let values = ReleaseValues.merged(
      try ValuesFile.load(["\(chart)/values.yaml"]), operatorValues)
    var needs = ClusterNeeds(values: values)
    needs.version = metadata["kubeVersion"]?.string.flatMap(KubernetesVersion.init(minimumIn:))
    return needs
  }

  init(values: JSONObject) {
    let values = JSON.object(values)
    needsIngress = values["ingress", "enabled"]?.bool ?? false
    ingressClass = values["ingress", "className"]?.string ?? ""
    let annotations = values["ingress", "annotations"]?.object ?? JSONObject()
    needsCertificates =
      values["ingress", "tls", "enabled"]?.bool == true
      && StoreCertificates.issuers.contains { annotations[$0] != nil }
    needsGatewayAPI = values["httpRoute", "enabled"]?.bool ?? false
    needsNetworkPolicies = values["networkPolicy", "enabled"]?.bool ?? false
    needsMonitors = values["metrics", "serviceMonitor", "enabled"]?.bool ?? false
    for part in values.object?.members ?? [] {
      guard let persistence = part.value["persistence"], persistence["enabled"]?.bool == true,
        persistence["existingClaim"]?.string?.isEmpty ?? true
      else { continue }
      // An empty name asks for a volume without a class, which is nothing to look for.
      if let name = persistence["storageClass"]?.string {
        if !name.isEmpty, !storageClasses.contains(name) { storageClasses.append(name) }
      } else {
        needsDefaultStorageClass = true
      }
    }
  }
}

/// A version of Kubernetes, without what follows the minor number.
struct KubernetesVersion: Comparable, Sendable, CustomStringConvertible {
  let major: Int
  let minor: Int

  /// As the API server tells it: `v1.20.2`, `v1.29.1-gke.100`.
  init?(_ text: String) {
    let numbers = (text.hasPrefix("v") ? text.dropFirst() : text[...]).split(
      separator: ".", maxSplits: 2
    ).map { $0.prefix { $0.isNumber } }
    guard numbers.count >= 2, let major = Int(numbers[0]), let minor = Int(numbers[1]) else {
      return nil
    }
    self.major = major
    self.minor = minor
  }

  /// The version after `>=` in a chart's constraint, such as `>=1.20.0-0`.
  init?(minimumIn constraint: String) {
    guard let sign = constraint.range(of: ">=") else { return nil }
    self.init(String(constraint[sign.upperBound...].drop { $0 == " " }))
  }

  static func < (one: KubernetesVersion, other: KubernetesVersion) -> Bool {
    (one.major, one.minor) < (other.major, other.minor)
  }

  var description: String { "\(major).\(minor)" }
}
