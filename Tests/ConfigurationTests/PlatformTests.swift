import Foundation
import Testing

@testable import Configuration

@Suite struct PlatformTests {
  private static let secrets = [
    "DATABASE_URL": "postgresql://u:hunter2@h/d",
    "PLATFORM_ENCRYPTION_KEY": String(repeating: "0", count: 64),
  ]

  @Test(arguments: PlatformService.allCases)
  func startsWithWhatIsRequired(service: PlatformService) throws {
    let configuration = try Configuration.load(service.schema, environment: Self.secrets)
    #expect(configuration[PlatformSettings.logLevel] == .info)
    #expect(configuration[PlatformSettings.databaseURL].byteCount == 26)
    #expect(configuration[PlatformSettings.databaseWorkerURL] == nil)
    #expect(configuration[PlatformSettings.shutdownGrace] == .seconds(20))
  }

  @Test func requiredSettings() {
    func required(_ service: PlatformService) -> [String] {
      service.schema.settings.map(\.declaration).filter { $0.requirement == .required }.map(\.key)
    }
    #expect(required(.gateway) == ["DATABASE_URL"])
    #expect(required(.provisioner) == ["DATABASE_URL"])
    #expect(required(.config) == ["DATABASE_URL", "PLATFORM_ENCRYPTION_KEY"])
    #expect(required(.audit) == ["DATABASE_URL"])
  }

  @Test(arguments: [PlatformSettings.backupInterval, PlatformSettings.backupTestInterval])
  func backupsAreMadeAndTestedEveryHourAtMostOrNever(_ setting: Setting<Duration>) throws {
    func load(_ text: String) throws -> Duration {
      try Configuration.load(
        PlatformService.provisioner.schema,
        environment: Self.secrets.merging([setting.key: text]) { $1 })[setting]
    }
    #expect(try load("0s") == .zero)
    #expect(try load("1h") == .seconds(3_600))
    #expect(try load("30d") == .seconds(30 * 86_400))
    for wrong in ["59m", "1s", "366d", "-1h", "daily"] {
      #expect(throws: (any Error).self) { try load(wrong) }
    }
  }

  @Test func outagesAreOutlastedWithinLimits() throws {
    func load(_ key: String, _ text: String) throws -> Configuration {
      try Configuration.load(
        PlatformService.provisioner.schema,
        environment: Self.secrets.merging([key: text]) { $1 })
    }
    for (text, value) in [("1", 1), ("100", 100)] {
      #expect(try load("OUTAGE_ATTEMPTS", text)[PlatformSettings.outageAttempts] == value)
    }
    for (text, value) in [("1s", 1), ("2m", 120), ("10m", 600)] {
      let wait = try load("OUTAGE_WAIT_MAX", text)[PlatformSettings.outageWaitMax]
      #expect(wait == .seconds(value))
    }
    for (key, wrong) in [
      ("OUTAGE_ATTEMPTS", ["0", "-1", "101", "8.5", "many"]),
      ("OUTAGE_WAIT_MAX", ["0s", "999ms", "601s", "11m", "-1s", "30", "long"]),
    ] {
      for text in wrong {
        #expect(throws: (any Error).self, "\(key)=\(text)") { try load(key, text) }
      }
    }
  }

  @Test func portsDoNotCollide() throws {
    let ports = try PlatformService.allCases.flatMap { service in
      let configuration = try Configuration.load(service.schema, environment: Self.secrets)
      return [
        configuration[PlatformSettings.listenAddress].port,
        configuration[PlatformSettings.adminAddress].port,
      ]
    }
    #expect(Set(ports).count == 8)
    let gateway = try Configuration.load(PlatformService.gateway.schema, environment: Self.secrets)
    for (service, address) in [
      (PlatformService.provisioner, PlatformSettings.provisionerAddress),
      (.config, PlatformSettings.configAddress), (.audit, PlatformSettings.auditAddress),
    ] {
      let own = try Configuration.load(service.schema, environment: Self.secrets)
      #expect(gateway[address] == own[PlatformSettings.listenAddress])
    }
  }

  /// The variables of the install wizard, and who takes them.
  @Test func theSeedsVariablesAreAllTaken() {
    let takers = Dictionary(
      grouping: PlatformService.allCases.flatMap { service in
        service.schema.settings.map { ($0.declaration.key, service) }
      }, by: \.0
    ).mapValues { $0.map(\.1) }
    #expect(takers["DATABASE_URL"] == PlatformService.allCases)
    #expect(takers["PLATFORM_ENCRYPTION_KEY"] == [.config])
    for key in [
      "JWT_SECRET", "SESSION_SECRET", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN",
    ] {
      #expect(takers[key] == [.gateway], "\(key)")
    }
    #expect(takers["RPC_SERVICE_CONFIG_FILE"] == [.gateway, .provisioner, .config])
    for key in [
      "TRIGGER_DEV_API_KEY", "TRIGGER_DEV_API_URL", "STORE_DOMAIN_SUFFIX", "RECOVERY",
      "STORE_URL", "INGRESS_ADDRESS", "KUBECONFIG", "HELM_WORKER_PATH", "HELM_LIBRARY_PATH",
      "CHART_PATH", "CHART_VALUES_FILES",
    ] {
      #expect(takers[key] == [.provisioner], "\(key)")
    }
  }

  /// They are known, so that an installation that has them starts, but not silently.
  @Test(arguments: [
    (PlatformService.gateway, "SESSION_SECRET", String(repeating: "s", count: 32)),
    (.gateway, "UPSTASH_REDIS_REST_URL", "https://hunter2.upstash.io"),
    (.gateway, "UPSTASH_REDIS_REST_TOKEN", "hunter2"),
    (.provisioner, "TRIGGER_DEV_API_URL", "https://hunter2.trigger.dev"),
    (.provisioner, "TRIGGER_DEV_API_KEY", "hunter2"),
  ])
  func whoGivesWhatNothingUsesIsWarned(
    service: PlatformService, key: String, value: String
  ) throws {
    let pairs = [
      "UPSTASH_REDIS_REST_URL": "https://x", "UPSTASH_REDIS_REST_TOKEN": "x",
      "TRIGGER_DEV_API_URL": "https://x", "TRIGGER_DEV_API_KEY": "x",
    ].filter { $0.key.prefix(7) == key.prefix(7) }
    let environment = Self.secrets.merging(pairs) { $1 }.merging([key: value]) { $1 }
    let warnings = try Configuration.load(service.schema, environment: environment).warnings
    #expect(warnings.count == max(1, pairs.count))
    #expect(warnings.count { $0.key == key } == 1)
    for warning in warnings {
      #expect(warning.reason == "is given, but nothing uses it yet")
      #expect(!warning.description.contains(value))
    }
    let declaration = service.schema.settings.map(\.declaration).first { $0.key == key }
    #expect(declaration?.summary.hasPrefix("Nothing uses it yet") == true)
    #expect(try Configuration.load(service.schema, environment: Self.secrets).warnings.isEmpty)
  }

  private func proxies(_ text: String) throws -> [AddressRange] {
    var environment = Self.secrets
    environment["TRUSTED_PROXIES"] = text
    return try Configuration.load(PlatformService.gateway.schema, environment: environment)[
      PlatformSettings.trustedProxies]
  }

  @Test func networksAreReadInBothFamilies() throws {
    #expect(try proxies("").isEmpty)
    let ranges = try proxies("10.0.0.0/8, 192.0.2.7,fd00::/8 ,2001:db8::1, ::ffff:172.16.0.0/108")
    #expect(ranges.count == 5)
    func trusts(_ address: UInt32) -> Bool { ranges.contains { $0.contains(ipv4: address) } }
    for good: UInt32 in [0x0A00_0000, 0x0AFF_FFFF, 0xC000_0207, 0xAC10_0000, 0xAC1F_FFFF] {
      #expect(trusts(good), "\(good)")
    }
    for bad: UInt32 in [0x09FF_FFFF, 0x0B00_0000, 0xC000_0206, 0xC000_0208, 0xAC20_0000, 0] {
      #expect(!trusts(bad), "\(bad)")
    }
    func six(_ first: UInt8, _ last: UInt8) -> [UInt8] {
      [first] + Array(repeating: 0, count: 14) + [last]
    }
    #expect(ranges.contains { $0.contains(ipv6: six(0xFD, 1)) })
    #expect(!ranges.contains { $0.contains(ipv6: six(0xFC, 1)) })
    #expect(!ranges.contains { $0.contains(ipv6: six(0, 1)) })
  }

  @Test(arguments: [
    ("10.0.0.0/33", "whose prefix length is not 1 to 32"),
    ("10.0.0.0/", "whose prefix length is not 1 to 32"),
    ("10.0.0.0/+8", "whose prefix length is not 1 to 32"),
    ("10.0.0.0/8/8", "whose prefix length is not 1 to 32"),
    ("0.0.0.0/0", "whose prefix length is not 1 to 32"),
    ("::/0", "whose prefix length is not 1 to 128"),
    ("fd00::/129", "whose prefix length is not 1 to 128"),
    ("10.0.0.1/8", "bits set beyond its prefix of 8"),
    ("fd00::1/64", "bits set beyond its prefix of 64"),
    ("ingress", "which is no IPv4 or IPv6 network"), ("10.0.0/8", "which is no IPv4 or IPv6"),
    ("/8", "which is no IPv4 or IPv6 network"), ("10.0.0.0/8,,fd00::/8", "has an empty value"),
    ("10.0.0.0/8,x", "has \"x\", which is no IPv4 or IPv6 network"),
    (Array(repeating: "10.0.0.1", count: 65).joined(separator: ","), "has 65 values"),
  ])
  func whatIsNoNetworkIsRefused(text: String, reason: String) throws {
    let error = #expect(throws: ConfigurationError.self) { try proxies(text) }
    #expect(error?.problems.map(\.key) == ["TRUSTED_PROXIES"])
    #expect(error?.problems.first?.reason.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test func oneFileServesAllFour() throws {
    let folder = try Folder()
    let file = try folder.write(
      "all.yaml", "recovery: fail\nplatform_encryption_key_file: /x\nlog_level: debug\n")
    let audit = try Configuration.load(
      PlatformService.audit.schema, environment: Self.secrets, filePath: file)
    #expect(audit[PlatformSettings.logLevel] == .debug)
    let provisioner = try Configuration.load(
      PlatformService.provisioner.schema, environment: Self.secrets, filePath: file)
    #expect(provisioner[PlatformSettings.recovery] == .fail)
  }

  /// A migration has the owner's rights, and none of the service's keys.
  @Test(arguments: PlatformService.allCases)
  func aMigrationNeedsTheOwnersURLAlone(service: PlatformService) throws {
    let folder = try Folder()
    let file = try folder.write(
      "all.yaml", "platform_encryption_key: not to be looked at\nlog_level: debug\n")
    let url = "postgresql://o:hunter2@h/d"
    let configuration = try Configuration.load(
      service.migrationSchema, environment: ["DATABASE_OWNER_URL": url], filePath: file)
    #expect(configuration[PlatformSettings.databaseOwnerURL]?.revealed() == url)
    #expect(configuration[PlatformSettings.logLevel] == .debug)
  }

  @Test(arguments: PlatformService.allCases)
  func helpAndTableNameEverySetting(service: PlatformService) {
    let help = service.schema.helpText()
    let lines = service.schema.markdownTable().split(separator: "\n")
    #expect(lines.count == service.schema.settings.count + 2)
    for declaration in service.schema.settings.map(\.declaration) {
      #expect(help.contains("  \(declaration.key)  "))
      #expect(help.contains(declaration.summary))
      #expect(lines.contains { $0.hasPrefix("| `\(declaration.key)`") })
      #expect(!declaration.summary.isEmpty && !declaration.example.isEmpty)
    }
    for line in lines { #expect(line.filter { $0 == "|" }.count == 6, "\(line)") }
  }

  @Test func aTableRow() {
    #expect(
      PlatformService.config.schema.markdownTable().contains(
        "| `PLATFORM_ENCRYPTION_KEY` (or `PLATFORM_ENCRYPTION_KEY_FILE`) | secret (64 hex digits) "
          + "| **required** | The AES-256 key that tenants' secrets are encrypted under. "
          + "Lost, they are lost. | `64 hex digits of openssl rand -hex 32` |\n"))
  }

  @Test func aSettingOfNoSchemaIsOurMistake() async {
    await #expect(processExitsWith: .failure) {
      let audit = try Configuration.load(
        PlatformService.audit.schema, environment: ["DATABASE_URL": "postgresql://h/d"])
      _ = audit[PlatformSettings.recovery]
    }
  }
}
