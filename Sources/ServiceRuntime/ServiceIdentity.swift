/// The services of the platform, as their certificates name them.
package enum ServiceIdentity: String, CaseIterable, Sendable {
  case gateway, provisioner, config, audit
  /// People and tools with a certificate of the installation: health checks, reflection, diagnosis.
  case `operator`

  package var spiffe: String { "spiffe://storeplane/\(rawValue)" }

  package init?(spiffe: String) {
    let prefix = "spiffe://storeplane/"
    guard spiffe.hasPrefix(prefix) else { return nil }
    self.init(rawValue: String(spiffe.dropFirst(prefix.count)))
  }
}
