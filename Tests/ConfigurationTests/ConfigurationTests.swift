import Foundation
import Testing

@testable import Configuration

/// A folder for one test's files.
private final class Folder {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let file = path + "/" + name
    try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    return file
  }
}

private enum Sample {
  static let address = Setting.hostPort(
    "LISTEN_ADDRESS", default: "127.0.0.1:80", "Where.", example: "0.0.0.0:80")
  static let count = Setting.integer("WORKER_COUNT", in: 1...9, "How many.", example: 5)
  static let note = Setting.string("NOTE", "What.", example: "x").optional
  static let names = Setting.list("NAMES", default: [], "Which.", example: "a,b")
  static let key = Setting.secret("API_KEY", bytesMinimum: 4, "The key.", example: "x").optional
  static let pair = Setting.string("PAIR", "What.", example: "x").optional
  static let schema = ConfigurationSchema(
    service: "sample",
    settings: [
      AnySetting(address), AnySetting(count), AnySetting(note), AnySetting(names), AnySetting(key),
      AnySetting(pair),
    ],
    rules: [.together(["NOTE", "PAIR"], because: "they are a pair")],
    takenElsewhere: ["OTHER_SETTING": ["another"]])
}

private func load(
  _ environment: [String: String], file: String? = nil
) throws(ConfigurationError) -> Configuration {
  try Configuration.load(Sample.schema, environment: environment, filePath: file)
}

private func problems(
  _ environment: [String: String], file: String? = nil
) -> [ConfigurationProblem] {
  do throws(ConfigurationError) {
    _ = try load(environment, file: file)
    return []
  } catch {
    return error.problems
  }
}

@Suite struct ConfigurationLoadTests {
  @Test func valuesWithTheirTypes() throws {
    let configuration = try load(["WORKER_COUNT": "5", "API_KEY": "hunter2"])
    let address: HostPort = configuration[Sample.address]
    #expect(address == HostPort(host: "127.0.0.1", port: 80))
    #expect(configuration[Sample.count] == 5)
    #expect(configuration[Sample.note] == nil)
    #expect(configuration[Sample.names] == [])
    #expect(configuration[Sample.key]?.revealed() == "hunter2")
    #expect(configuration.warnings == [])
    #expect(configuration.origin(of: "LISTEN_ADDRESS") == .builtInDefault)
    #expect(configuration.origin(of: "WORKER_COUNT") == .environment(variable: "WORKER_COUNT"))
    #expect(configuration.origin(of: "NOTE") == .absent)
  }

  @Test func theEnvironmentWinsOverTheFile() throws {
    let folder = try Folder()
    let file = try folder.write(
      "c.yaml",
      """
      # a comment
      listen_address: "[::1]:8080"
      worker_count: 3
      names: [a, b]
      other_setting: anything
      """)
    let configuration = try load(["WORKER_COUNT": "4"], file: file)
    #expect(configuration[Sample.address].description == "[::1]:8080")
    #expect(configuration[Sample.count] == 4)
    #expect(configuration[Sample.names] == ["a", "b"])
    #expect(configuration.origin(of: "LISTEN_ADDRESS") == .file(path: file, line: 2))
    let byVariable = try load(["STOREPLANE_CONFIG": file])
    #expect(byVariable[Sample.count] == 3)
    let emptyIsUnset = try load(["STOREPLANE_CONFIG": file, "WORKER_COUNT": ""])
    #expect(emptyIsUnset[Sample.count] == 3)
  }

  @Test func everyProblemAtOnce() throws {
    let folder = try Folder()
    let file = try folder.write(
      "c.yaml",
      """
      listen_adress: 0.0.0.0:1
      names:
        a: b
      pair:
      API_KEY: hunter2
      nonsense_here: 1
      """)
    let all = problems(["LISTEN_ADDRESS": "0.0.0.0:70000", "NOTE": "a\u{1}"], file: file)
    #expect(
      all == [
        .init(
          key: "\"listen_adress\"", origin: .file(path: file, line: 1), reason: "is not a setting",
          remedy: "did you mean listen_address?"),
        .init(
          key: "NAMES", origin: .file(path: file, line: 2), reason: "is not a single value",
          remedy: "give one list: a,b"),
        .init(
          key: "PAIR", origin: .file(path: file, line: 4), reason: "has no value",
          remedy: "give one, or take the line out"),
        .init(
          key: "\"API_KEY\"", origin: .file(path: file, line: 5), reason: "is not a setting",
          remedy: "write it in lower case: api_key"),
        .init(
          key: "\"nonsense_here\"", origin: .file(path: file, line: 6), reason: "is not a setting",
          remedy: "take it out; sample --help lists the settings"),
        .init(
          key: "LISTEN_ADDRESS", origin: .environment(variable: "LISTEN_ADDRESS"),
          reason: "has the port \"70000\"",
          remedy: "give a port from 0 to 65535, for example 0.0.0.0:80"),
        .init(
          key: "WORKER_COUNT", origin: .absent, reason: "is required and not given",
          remedy: "set WORKER_COUNT: How many. Example: 5"),
        .init(
          key: "NOTE", origin: .environment(variable: "NOTE"),
          reason: "has a control character in it", remedy: "give printable text on one line"),
      ])
    let text = ConfigurationError(service: "sample", problems: all).description
    #expect(text.hasPrefix("sample cannot start: 8 problems in its configuration\n"))
    #expect(text.contains("  - \"listen_adress\" is not a setting\n    where:  \(file):1\n"))
    #expect(!text.contains("hunter2"))
  }

  @Test func aMissingSettingPointsAtASlip() {
    let all = problems(["WORKERS_COUNT": "5"])
    #expect(all.count == 1)
    #expect(all.first?.remedy.hasSuffix("WORKERS_COUNT is set: is that a slip?") == true)
  }

  @Test func settingsThatGoTogether() {
    #expect(
      problems(["WORKER_COUNT": "5", "NOTE": "x"]) == [
        .init(
          key: "PAIR", origin: .absent,
          reason: "is not given, but NOTE is: they are a pair",
          remedy: "give PAIR too, or none of them")
      ])
    #expect(problems(["WORKER_COUNT": "5", "NOTE": "x", "PAIR": "y"]) == [])
  }

  @Test func unknownVariablesOfOursAreWarnedOf() throws {
    let configuration = try load([
      "WORKER_COUNT": "5", "STOREPLANE_CONFG": "x", "STOREPLANE_WORKER_COUNT": "9",
      "STOREPLANE_XYZZY_PLUGH": "1", "PATH": "/bin",
      "STOREPLANE_AUDIT_SERVICE_HOST": "10.0.0.1", "STOREPLANE_AUDIT_SERVICE_PORT_GRPC": "1",
      "STOREPLANE_AUDIT_PORT": "tcp://10.0.0.1:1", "STOREPLANE_AUDIT_PORT_1_TCP_ADDR": "10.0.0.1",
    ])
    #expect(
      configuration.warnings.map { "\($0.key) \($0.reason); \($0.remedy)" } == [
        "STOREPLANE_CONFG is not a setting; did you mean STOREPLANE_CONFIG?",
        "STOREPLANE_WORKER_COUNT is not a setting; did you mean WORKER_COUNT?",
        "STOREPLANE_XYZZY_PLUGH is not a setting; unset it; sample --help lists the settings",
      ])
  }
}

@Suite struct SecretFileTests {
  @Test func readsTrimsAndKnowsTheOrigin() throws {
    let folder = try Folder()
    let path = try folder.write("key", "hunter2 \n\r\n")
    let configuration = try load(["WORKER_COUNT": "5", "API_KEY_FILE": path])
    #expect(configuration[Sample.key]?.revealed() == "hunter2 ")
    #expect(
      configuration.origin(of: "API_KEY")
        == .secretFile(path: path, named: .environment(variable: "API_KEY_FILE")))
    #expect(configuration.warnings == [])
    let file = try folder.write("c.yaml", "worker_count: 1\napi_key_file: \(path)\n")
    #expect(try load([:], file: file)[Sample.key]?.revealed() == "hunter2 ")
    let other = try load(["API_KEY": "from the environment"], file: file)
    #expect(other[Sample.key]?.revealed() == "from the environment")
  }

  @Test func aPEMKeepsItsLines() throws {
    let folder = try Folder()
    let path = try folder.write("key", "-----BEGIN-----\nabc\n-----END-----\n")
    let configuration = try load(["WORKER_COUNT": "5", "API_KEY_FILE": path])
    #expect(configuration[Sample.key]?.revealed() == "-----BEGIN-----\nabc\n-----END-----")
  }

  @Test(arguments: [0o640, 0o604, 0o666, 0o610])
  func othersMayUseIt(mode: Int) throws {
    let folder = try Folder()
    let path = try folder.write("key", "hunter2", mode: mode)
    let warnings = try load(["WORKER_COUNT": "5", "API_KEY_FILE": path]).warnings
    #expect(warnings.count == 1)
    #expect(warnings.first?.reason.contains("mode \(String(mode, radix: 8))") == true)
    #expect(warnings.first?.remedy.contains("chmod 600") == true)
  }

  @Test func whatIsWrongWithIt() throws {
    let folder = try Folder()
    let empty = try folder.write("empty", "\n\n")
    let short = try folder.write("short", "abc\n")
    let big = try folder.write("big", String(repeating: "x", count: 70_000))
    let binary = folder.path + "/binary"
    try Data([0xff, 0xfe]).write(to: URL(fileURLWithPath: binary))
    for (path, reason) in [
      (empty, "names an empty file"), (short, "is only 3 bytes long"),
      (big, "has more than 65536 bytes"), (binary, "is not UTF-8"), (folder.path, "is a directory"),
      ("/does/not/exist", "cannot be opened: No such file or directory"),
    ] {
      let all = problems(["WORKER_COUNT": "5", "API_KEY_FILE": path])
      #expect(all.count == 1)
      #expect(all.first?.reason.contains(reason) == true, "\(all)")
    }
    let both = problems(["WORKER_COUNT": "5", "API_KEY_FILE": short, "API_KEY": "hunter2"])
    #expect(both.map(\.reason) == ["is given, and API_KEY_FILE is too"])
  }
}

@Suite struct ConfigurationFileTests {
  @Test func emptyFilesSayNothing() throws {
    #expect(try ConfigurationFile.parse("").entries.isEmpty)
    #expect(try ConfigurationFile.parse("# only this\n").entries.isEmpty)
  }

  @Test(arguments: [
    ("a: [1, 2", 2), ("a: b: c", 1), ("- a\n- b", 1), ("just text", 1), ("a: 1\na: 2", 1),
    ("a: \"unfinished", 1), ("\ta: 1", 1),
  ])
  func brokenFilesNameTheLine(text: String, line: Int) {
    do throws(ConfigurationFile.Unreadable) {
      _ = try ConfigurationFile.parse(text)
      Issue.record("\(text) was read")
    } catch {
      #expect(error.line == line, "\(error)")
      #expect(!error.reason.isEmpty && !error.remedy.isEmpty)
    }
  }

  @Test func parserErrorsDoNotQuoteTheLine() {
    let folder = try? Folder()
    guard let file = try? folder?.write("c.yaml", "api_key: hunter2\nworker_count: 'x\n") else {
      Issue.record("no file")
      return
    }
    let all = problems([:], file: file)
    #expect(all.first?.reason.hasPrefix("The configuration file is not YAML: ") == true)
    #expect(!"\(all)".contains("hunter2"))
  }

  @Test func limitsAndMissingFiles() throws {
    let folder = try Folder()
    let big = try folder.write("c.yaml", String(repeating: "#", count: 70_000))
    #expect(
      problems(["WORKER_COUNT": "1"], file: big).map(\.reason) == [
        "The configuration file has more than 65536 bytes"
      ])
    #expect(
      problems(["WORKER_COUNT": "1"], file: "/does/not/exist").map(\.reason) == [
        "The configuration file cannot be opened: No such file or directory"
      ])
    let deep = try folder.write("deep.yaml", "a: " + String(repeating: "[", count: 60_000))
    #expect(problems(["WORKER_COUNT": "1"], file: deep).count == 1)
  }
}

@Suite struct ServiceArgumentsTests {
  @Test func parsing() {
    #expect(ServiceArguments.parse([]) == .run(configurationFile: nil))
    #expect(ServiceArguments.parse(["--config", "a"]) == .run(configurationFile: "a"))
    #expect(ServiceArguments.parse(["--config=a"]) == .run(configurationFile: "a"))
    #expect(
      ServiceArguments.parse(["--check", "--config", "a"]) == .check(configurationFile: "a"))
    #expect(ServiceArguments.parse(["--config", "a", "-h"]) == .help)
    #expect(ServiceArguments.parse(["migrate"]) == .migrate(configurationFile: nil))
    #expect(
      ServiceArguments.parse(["migrate", "--config", "a"]) == .migrate(configurationFile: "a"))
    for bad in [
      ["--config"], ["--config", ""], ["--config="], ["x"], ["--verbose"],
      ["migrate", "--check"],
      ["--config=a", "--config=b"], ["--config", "a", "--config", "b"],
    ] {
      guard case .misuse(let reason) = ServiceArguments.parse(bad) else {
        Issue.record("\(bad) was taken")
        continue
      }
      #expect(!reason.isEmpty)
    }
  }
}

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
