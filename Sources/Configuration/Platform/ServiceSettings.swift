/// The four services and what each takes.
package enum PlatformService: String, Sendable, CaseIterable {
  case gateway, provisioner, config, audit

  /// What this service can be told. Settings that only others take are known, so that one file serves
  /// all four.
  package var schema: ConfigurationSchema {
    var elsewhere: [String: [String]] = [:]
    for service in Self.allCases where service != self {
      for declaration in service.settings.map(\.declaration) {
        elsewhere[declaration.key, default: []].append(service.rawValue)
      }
    }
    for declaration in settings.map(\.declaration) { elsewhere[declaration.key] = nil }
    return ConfigurationSchema(
      service: rawValue, settings: settings, rules: rules, takenElsewhere: elsewhere)
  }

  /// What migrating this service's schema takes: its owner's URL, and how to log. A run with these
  /// needs none of the service's keys.
  package var migrationSchema: ConfigurationSchema {
    let taken = [
      AnySetting(Platform.databaseOwnerURL), AnySetting(Platform.logFormat),
      AnySetting(Platform.logLevel),
    ]
    var elsewhere = schema.takenElsewhere
    for key in settings.map(\.declaration.key) { elsewhere[key] = [rawValue] }
    for key in taken.map(\.declaration.key) { elsewhere[key] = nil }
    return ConfigurationSchema(service: rawValue, settings: taken, takenElsewhere: elsewhere)
  }

  private var settings: [AnySetting] { common + own }

  private typealias Platform = PlatformSettings

  private var common: [AnySetting] {
    [
      AnySetting(Platform.listenAddress.defaulting(to: "127.0.0.1:\(listenPort)")),
      AnySetting(Platform.adminAddress.defaulting(to: "127.0.0.1:\(listenPort + 100)")),
      AnySetting(Platform.logFormat),
      AnySetting(Platform.logLevel),
      AnySetting(Platform.shutdownGrace),
      AnySetting(Platform.databaseURL),
      AnySetting(Platform.databaseWorkerURL),
      AnySetting(Platform.databaseOwnerURL),
      AnySetting(Platform.databaseConnections),
      AnySetting(Platform.tlsCertificateFile),
      AnySetting(Platform.tlsKeyFile),
      AnySetting(Platform.tlsCAFile),
    ]
  }

  private var own: [AnySetting] {
    switch self {
    case .gateway:
      [
        AnySetting(Platform.provisionerAddress),
        AnySetting(Platform.configAddress),
        AnySetting(Platform.auditAddress),
        AnySetting(Platform.rpcServiceConfigFile),
        AnySetting(Platform.tokenSigningKey),
        AnySetting(Platform.jwtSecret),
        AnySetting(Platform.sessionSecret),
        AnySetting(Platform.upstashURL),
        AnySetting(Platform.upstashToken),
        AnySetting(Platform.storeCreationCooldown),
        AnySetting(Platform.requestsPerPrincipal),
        AnySetting(Platform.requestsPerAddress),
        AnySetting(Platform.trustedProxies),
      ]
    case .provisioner:
      [
        AnySetting(Platform.callerKeysFile),
        AnySetting(Platform.configAddress),
        AnySetting(Platform.auditAddress),
        AnySetting(Platform.rpcServiceConfigFile),
        AnySetting(Platform.recovery),
        AnySetting(Platform.storeDomainSuffix),
        AnySetting(Platform.storeURL),
        AnySetting(Platform.ingressAddress),
        AnySetting(Platform.kubeconfig),
        AnySetting(Platform.helmWorkerPath),
        AnySetting(Platform.helmLibraryPath),
        AnySetting(Platform.chartPath),
        AnySetting(Platform.chartValuesFiles),
        AnySetting(Platform.provisionerWorkers),
        AnySetting(Platform.operationsPerTenant),
        AnySetting(Platform.operationsPerCluster),
        AnySetting(Platform.operationsOverall),
        AnySetting(Platform.operationRetention),
        AnySetting(Platform.driftInterval),
        AnySetting(Platform.backupURL),
        AnySetting(Platform.backupBucket),
        AnySetting(Platform.backupRegion),
        AnySetting(Platform.backupAccessKey),
        AnySetting(Platform.backupSecretKey),
        AnySetting(Platform.backupsKept),
        AnySetting(Platform.backupRetention),
        AnySetting(Platform.backupInterval),
        AnySetting(Platform.backupTestInterval),
        AnySetting(Platform.stepRetryBase),
        AnySetting(Platform.stepAttempts),
        AnySetting(Platform.outageAttempts),
        AnySetting(Platform.outageWaitMax),
        AnySetting(Platform.breakerFailures),
        AnySetting(Platform.breakerOpenDuration),
        AnySetting(Platform.triggerDevKey),
        AnySetting(Platform.triggerDevURL),
      ]
    case .config:
      [
        AnySetting(Platform.callerKeysFile),
        AnySetting(Platform.auditAddress),
        AnySetting(Platform.rpcServiceConfigFile),
        AnySetting(Platform.platformEncryptionKey),
      ]
    case .audit:
      [AnySetting(Platform.callerKeysFile)]
    }
  }

  private var rules: [ConfigurationRule] {
    var rules: [ConfigurationRule] = [
      .together(
        [Platform.tlsCertificateFile.key, Platform.tlsKeyFile.key, Platform.tlsCAFile.key],
        because: "mutual TLS needs all three")
    ]
    switch self {
    case .gateway:
      rules.append(
        .together(
          [Platform.upstashURL.key, Platform.upstashToken.key],
          because: "Upstash refuses calls without its token"))
    case .provisioner:
      rules.append(
        .together(
          [Platform.triggerDevKey.key, Platform.triggerDevURL.key],
          because: "Trigger.dev needs its address and its key"))
      rules.append(
        .together(
          [Platform.backupURL.key, Platform.backupAccessKey.key, Platform.backupSecretKey.key],
          because: "the object store of the backups needs its address and both parts of its key"))
    case .config, .audit: break
    }
    return rules
  }

  /// The ports on one machine; the admin ports are a hundred above.
  private var listenPort: Int {
    switch self {
    case .gateway: 8080
    case .provisioner: 9402
    case .config: 9403
    case .audit: 9404
    }
  }
}
