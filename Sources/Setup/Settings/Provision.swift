import Configuration

/// How a setting comes to its value in an installation.
package enum Provision: String, Sendable {
  /// Made once, at random.
  case generated
  /// By roles and passwords that set-up makes in the database.
  case database
  /// From the other settings and the installation's folder, unless given.
  case derived
  /// The wizard asks.
  case asked
  /// By `scripts/up`, from the cluster and the checkout, unless given.
  case found
  /// Only by whoever runs the installation.
  case given

  package init(of key: String) {
    switch key {
    case PlatformSettings.platformEncryptionKey.key, PlatformSettings.tokenSigningKey.key:
      self = .generated
    case PlatformSettings.databaseURL.key, PlatformSettings.databaseWorkerURL.key,
      PlatformSettings.databaseOwnerURL.key:
      self = .database
    case PlatformSettings.storeDomainSuffix.key, PlatformSettings.listenAddress.key:
      self = .asked
    case PlatformSettings.callerKeysFile.key, PlatformSettings.adminAddress.key: self = .derived
    default:
      let isAddress = PlatformService.allCases.contains {
        Vocabulary.prefixed($0, "ADDRESS") == key
      }
      if isAddress || key.hasPrefix("TLS_") {
        self = .derived
      } else {
        self = Self.foundKeys.contains(key) ? .found : .given
      }
    }
  }

  private static let foundKeys: Set<String> = [
    "KUBECONFIG", "STORE_URL", "INGRESS_ADDRESS", "HELM_WORKER_PATH", "HELM_LIBRARY_PATH",
    "CHART_PATH", "CHART_VALUES_FILES",
  ]
}
