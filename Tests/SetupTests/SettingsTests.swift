import Configuration
import Foundation
import Setup
import Testing

/// What a service is told, and from where.
@Suite struct SettingsTests {
  private let folder = TemporaryInstallation()

  private func variables(
    _ service: PlatformService, _ role: ServiceEnvironment.Role = .service
  ) throws -> [String: String] {
    try InstallationSettings(folder.installation).environment(of: service, role: role).variables
  }

  @Test func aServiceIsToldOnlyWhatItTakes() throws {
    try folder.prepare()
    try folder.append("TRIGGER_DEV_API_KEY=tr_x", "JWT_SECRET=\(String(repeating: "j", count: 32))")
    for service in PlatformService.allCases {
      let told = try Set(variables(service).keys)
      let taken = service.schema.settings.map(\.declaration.key)
      #expect(told.isSubset(of: taken + taken.map { $0 + "_FILE" }))
      #expect(told.contains("PLATFORM_ENCRYPTION_KEY") == (service == .config))
      #expect(told.contains("TOKEN_SIGNING_KEY_FILE") == (service == .gateway))
      #expect(told.contains("JWT_SECRET") == (service == .gateway))
      #expect(told.contains("TRIGGER_DEV_API_KEY") == (service == .provisioner))
    }
  }

  @Test func theOwnersRightsAreForMigrationsAlone() throws {
    try folder.prepare()
    for kind in ["", "WORKER_", "OWNER_"] {
      try folder.append("AUDIT_DATABASE_\(kind)URL=postgresql://audit_\(kind)@db/x")
    }
    #expect(try variables(.audit)["DATABASE_OWNER_URL"] == nil)
    #expect(try variables(.audit)["DATABASE_URL"] == "postgresql://audit_@db/x")
    #expect(
      try variables(.audit, .owner) == ["DATABASE_OWNER_URL": "postgresql://audit_OWNER_@db/x"])
  }

  @Test func aServicesOwnValueGoesFirst() throws {
    try folder.prepare()
    try folder.append("LOG_LEVEL=warning", "AUDIT_LOG_LEVEL=debug")
    #expect(try variables(.audit)["LOG_LEVEL"] == "debug")
    #expect(try variables(.config)["LOG_LEVEL"] == "warning")
  }

  @Test func whatAPersonSaysGoesBeforeWhatWasFound() throws {
    try folder.prepare()
    try folder.write(
      "KUBECONFIG=/found\nSTORE_DOMAIN_SUFFIX=.found\nOF_A_LATER_VERSION=1\n", to: "machine.env")
    try folder.append("KUBECONFIG=/mine")
    #expect(try variables(.provisioner)["KUBECONFIG"] == "/mine")
    // An empty value says nothing.
    try folder.append("PROVISIONER_STORE_DOMAIN_SUFFIX=")
    #expect(try variables(.provisioner)["STORE_DOMAIN_SUFFIX"] == ".found")
  }

  @Test func servicesFindEachOther() throws {
    try folder.prepare(portBase: 20_000)
    #expect(try variables(.gateway)["LISTEN_ADDRESS"] == "127.0.0.1:20000")
    #expect(try variables(.gateway)["ADMIN_ADDRESS"] == "127.0.0.1:20100")
    #expect(try variables(.gateway)["PROVISIONER_ADDRESS"] == "127.0.0.1:20001")
    #expect(try variables(.provisioner)["CONFIG_ADDRESS"] == "127.0.0.1:20002")
    #expect(try variables(.config)["AUDIT_ADDRESS"] == "127.0.0.1:20003")
  }

  @Test func aServiceThatListensEverywhereIsReachedHere() throws {
    try folder.prepare(choices: ["CONFIG_LISTEN_ADDRESS": "0.0.0.0:9403"])
    try folder.append("AUDIT_ADDRESS=audit.example.com:443")
    #expect(try variables(.gateway)["CONFIG_ADDRESS"] == "127.0.0.1:9403")
    #expect(try variables(.gateway)["AUDIT_ADDRESS"] == "audit.example.com:443")
  }

  @Test func theEnvironmentCountsTheFirstTime() throws {
    let environment = [
      "STORE_CREATION_COOLDOWN": "0s", "KUBECONFIG": "/home/someone/.kube/config",
      "AUDIT_LOG_LEVEL": "debug", "PATH": "/bin", "LISTEN_ADDRESS": "127.0.0.1:1", "LOG_LEVEL": "",
      "DATABASE_URL": "postgresql://superuser:secret@db/x",
    ]
    #expect(try folder.prepare(environment: environment).notes.count == 1)
    #expect(try variables(.gateway)["STORE_CREATION_COOLDOWN"] == "0s")
    #expect(try variables(.gateway)["LISTEN_ADDRESS"] == "127.0.0.1:8080")
    #expect(try variables(.provisioner)["KUBECONFIG"] == "/home/someone/.kube/config")
    #expect(try variables(.audit)["LOG_LEVEL"] == "debug")
    #expect(try !folder.text("storeplane.env").contains("superuser"))
    #expect(try folder.prepare(environment: environment).notes.isEmpty)
  }

  @Test func aLaterChangeOfTheEnvironmentIsSaidAndNotTakenOver() throws {
    try folder.prepare()
    let before = try folder.text("storeplane.env")
    let outcome = try folder.prepare(
      environment: ["JWT_SECRET": "a-secret-not-to-be-shown-to-anybody"], portBase: 30_000)
    #expect(try folder.text("storeplane.env") == before)
    let note = try #require(outcome.notes.first)
    #expect(note.contains("JWT_SECRET") && note.contains("GATEWAY_LISTEN_ADDRESS"))
    #expect(!note.contains("not-to-be-shown"))
  }

  @Test func keysThatArePresentAreUsed() throws {
    let key = String(repeating: "ab", count: 32)
    try folder.prepare(environment: ["PLATFORM_ENCRYPTION_KEY": key])
    #expect(try variables(.config)["PLATFORM_ENCRYPTION_KEY"] == key)
  }

  @Test func theFirstFileShowsEverySetting() throws {
    try folder.prepare()
    let text = try folder.text("storeplane.env")
    for entry in Vocabulary.entries {
      #expect(text.contains("\(entry.declaration.key)="), "\(entry.declaration.key)")
      #expect(text.contains(entry.declaration.summary), "\(entry.declaration.key)")
    }
  }

  /// A name that is both a setting and a service's own value of another would have two meanings.
  @Test func noNameHasTwoMeanings() {
    let keys = Set(
      Vocabulary.entries.flatMap { [$0.declaration.key, $0.declaration.key + "_FILE"] })
    for service in PlatformService.allCases {
      for key in keys {
        #expect(!keys.contains("\(service.rawValue.uppercased())_\(key)"), "\(service) \(key)")
      }
    }
  }

  @Test func theListHasWhatAnInstallationIsMadeOf() {
    let names = VariableList.render(.needs, service: nil).split(separator: "\n").compactMap {
      $0.split(separator: " ").first.map(String.init)
    }
    for name in [
      "DATABASE_URL", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN",
      "PLATFORM_ENCRYPTION_KEY", "JWT_SECRET", "SESSION_SECRET", "TRIGGER_DEV_API_KEY",
      "TRIGGER_DEV_API_URL", "STORE_DOMAIN_SUFFIX",
    ] {
      #expect(names.contains(name), "\(name)")
    }
    let text = VariableList.render(.text, service: nil)
    #expect(text.contains(/STORE_DOMAIN_SUFFIX\n.*\n +default .localhost; .*; set-up asks/))
    #expect(
      text.contains(
        /UPSTASH_REDIS_REST_URL\n +Nothing uses it yet.*\n +optional; taken by gateway; only if/))
    #expect(
      text.contains(
        /PLATFORM_ENCRYPTION_KEY, or .*\n.*\n +required; taken by config; set-up generates/))
    let audits = VariableList.render(.needs, service: .audit)
    #expect(audits.contains("CALLER_KEYS_FILE") && !audits.contains("PLATFORM_ENCRYPTION_KEY"))
  }
}

/// The questions of the first time.
@Suite struct WizardTests {
  private final class Script {
    var answers: [String?]
    var said: [String] = []
    var secret: [Bool] = []
    init(_ answers: [String?]) { self.answers = answers }

    var terminal: Wizard.Terminal {
      Wizard.Terminal(
        say: { self.said.append($0) },
        ask: { prompt, isSecret in
          self.said.append(prompt)
          self.secret.append(isSecret)
          return self.answers.isEmpty ? nil : self.answers.removeFirst()
        })
    }
  }

  @Test func nothingButReturnTakesTheDefaults() throws {
    let script = Script(["", ""])
    let answers = try Wizard(script.terminal).run()
    #expect(
      answers == ["GATEWAY_LISTEN_ADDRESS": "127.0.0.1:8080", "STORE_DOMAIN_SUFFIX": ".localhost"])
    #expect(script.answers.isEmpty)
  }

  @Test func answersAreTaken() throws {
    let script = Script(["0.0.0.0:80", " .shops.example.com "])
    let answers = try Wizard(script.terminal).run()
    #expect(
      answers == [
        "GATEWAY_LISTEN_ADDRESS": "0.0.0.0:80", "STORE_DOMAIN_SUFFIX": ".shops.example.com",
      ])
    #expect(script.secret == [false, false])
  }

  @Test func aWrongAnswerIsAskedForAgainWithTheReason() throws {
    let script = Script(["8080", "127.0.0.1:99999", "127.0.0.1:8081", ""])
    let answers = try Wizard(script.terminal).run()
    #expect(answers["GATEWAY_LISTEN_ADDRESS"] == "127.0.0.1:8081")
    #expect(script.said.contains { $0.hasPrefix("It is \"8080\", without a port") })
    #expect(script.said.contains { $0.hasPrefix("It has the port \"99999\"") })
  }

  @Test func itGivesUpAfterSomeWrongAnswers() throws {
    let script = Script(Array(repeating: "nonsense", count: 20))
    let error = #expect(throws: SetupError.self) { try Wizard(script.terminal).run() }
    #expect(error?.problems.first?.remedy.contains("--yes") == true)
    #expect(script.answers.count == 20 - Wizard.attemptsMaximum)
  }

  @Test func theEndOfTheInputIsNoAnswer() throws {
    #expect(throws: SetupError.self) { try Wizard(Script([]).terminal).run() }
    #expect(throws: SetupError.self) {
      try Wizard(Script(["", nil]).terminal).run()
    }
  }
}
