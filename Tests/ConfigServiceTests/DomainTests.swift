import JSON
import Testing

@testable import ConfigService

@Suite struct DomainTests {
  @Test(arguments: ["a", "acme", "a-1", "a--b", String(repeating: "a", count: 40)])
  func takesTenantIDs(_ text: String) throws {
    #expect(try TenantID(text).text == text)
  }

  @Test(
    arguments: [
      "", "1a", "-a", "a-", "A", "a_b", "a.b", "ä", "a b", "a\n",
      String(repeating: "a", count: 41),
    ])
  func refusesTenantIDs(_ text: String) {
    let error = #expect(throws: ConfigError.self) { try TenantID(text, field: "tenant") }
    guard case .invalid("tenant", _) = error else {
      Issue.record("another error")
      return
    }
  }

  @Test(arguments: ["a", "A.b_c-9", "..a", String(repeating: "x", count: 128)])
  func takesSecretNames(_ text: String) throws {
    #expect(try SecretName(text).text == text)
  }

  @Test(arguments: ["", ".", "..", "a/b", "a b", "é", "a\0", String(repeating: "x", count: 129)])
  func refusesSecretNames(_ text: String) {
    #expect(throws: ConfigError.self) { try SecretName(text) }
    #expect(throws: ConfigError.self) { try StoreID(text) }
  }

  @Test func aDisplayNameDefaultsToTheID() throws {
    let tenant = try TenantID("acme")
    #expect(try DisplayName("", of: tenant).text == "acme")
    #expect(try DisplayName("Ärger & Söhne", of: tenant).text == "Ärger & Söhne")
    #expect(throws: ConfigError.self) { try DisplayName("a\u{7}", of: tenant) }
    #expect(throws: ConfigError.self) {
      try DisplayName(String(repeating: "é", count: 101), of: tenant)
    }
  }

  // MARK: Credentials

  @Test func generatesFromTheWholeAlphabetAlone() throws {
    var next: UInt8 = 0
    // Every byte in turn: those past 247 must be passed over, or the first letters would come up
    // more often.
    let random: (Int) -> [UInt8] = { count in
      (0..<count).map { _ in
        defer { next &+= 1 }
        return next
      }
    }
    let name = try SecretName("password")
    let specification = try CredentialSpecification(
      name: name, format: .alphanumeric, length: 256, field: "credentials[0]")
    let value = String(decoding: specification.generate(random: random), as: UTF8.self)
    #expect(value.count == 256)
    #expect(value.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber) })
    let counts = Dictionary(grouping: value.prefix(248)) { $0 }.mapValues(\.count)
    #expect(counts.count == 62)
    #expect(counts.values.allSatisfy { $0 == 4 })
    let hexadecimal = try CredentialSpecification(
      name: name, format: .hexadecimal, length: 16, field: "credentials[0]")
    next = 0
    #expect(hexadecimal.generate(random: random) == Array("0123456789abcdef".utf8))
  }

  @Test(arguments: [-1, 1, 15, 257])
  func refusesLengths(_ length: Int) throws {
    let name = try SecretName("password")
    #expect(
      throws: ConfigError.invalid(
        field: "credentials[3].length",
        description: "\(length) characters; ask for 16 to 256, or 0 for the default of 32")
    ) {
      try CredentialSpecification(
        name: name, format: .hexadecimal, length: length, field: "credentials[3]")
    }
  }

  @Test func refusesNoneTooManyAndTwins() throws {
    func specification(_ name: String) throws -> CredentialSpecification {
      try CredentialSpecification(
        name: SecretName(name), format: .hexadecimal, length: 0, field: "")
    }
    #expect(throws: ConfigError.self) { try [CredentialSpecification]().checked() }
    let many = try (0..<33).map { try specification("n\($0)") }
    #expect(throws: ConfigError.self) { try many.checked() }
    #expect(try Array(many.prefix(32)).checked().count == 32)
    #expect(
      throws: ConfigError.invalid(
        field: "credentials[1].name", description: "it is asked for twice")
    ) { try [specification("a"), specification("a")].checked() }
  }

  @Test func pageSizesAreBounded() throws {
    #expect(try ConfigLimits.pageSize(0) == 50)
    #expect(try ConfigLimits.pageSize(7) == 7)
    #expect(try ConfigLimits.pageSize(.max) == 500)
    #expect(throws: ConfigError.self) { try ConfigLimits.pageSize(-1) }
  }
}

@Suite struct SettingsTreeTests {
  private func tree(_ text: String) throws -> SettingsTree {
    SettingsTree(root: try #require(JSON(parsing: text).object))
  }

  private func patch(
    _ tree: String, with values: String, _ paths: String...
  ) throws -> String {
    let values = try #require(JSON(parsing: values).object)
    let patched = try self.tree(tree).patched(with: values, paths: [SettingsPath](paths))
    return JSON.object(patched.root).serializedText(sortingKeys: true)
  }

  @Test func withoutPathsTopLevelMembersAreReplaced() throws {
    let result = try patch(#"{"a":{"x":1},"b":2}"#, with: #"{"a":{"y":1},"c":null}"#)
    #expect(result == #"{"a":{"y":1},"b":2,"c":null}"#)
  }

  @Test func pathsChangeWhatTheyNameAlone() throws {
    let tree = #"{"a":{"x":1,"y":2},"b":2}"#
    #expect(
      try patch(tree, with: #"{"a":{"x":9,"y":9},"b":9}"#, "a.x")
        == #"{"a":{"x":9,"y":2},"b":2}"#)
    #expect(try patch(tree, with: #"{"c":3}"#, "*") == #"{"c":3}"#)
    #expect(try patch(tree, with: "{}", "a.x", "b") == #"{"a":{"y":2}}"#)
    #expect(try patch(tree, with: "{}", "z.z") == #"{"a":{"x":1,"y":2},"b":2}"#)
    #expect(
      try patch("{}", with: #"{"a":{"b":{"c":[1]}}}"#, "a.b.c") == #"{"a":{"b":{"c":[1]}}}"#)
    #expect(
      try patch("{}", with: #"{"a.b":{"`":1,"ü":2}}"#, "`a.b`.ü") == #"{"a.b":{"ü":2}}"#)
  }

  @Test func aPathThroughSomethingElseIsRefused() {
    #expect(
      throws: ConfigError.invalid(
        field: "paths[1]",
        description: "it leads through a string that is no object: name that to replace it")
    ) {
      try patch(#"{"a":"text"}"#, with: #"{"a":{"b":1}}"#, "c", "a.b")
    }
  }

  @Test(
    arguments: [
      "", "a.", ".a", "a..b", "a b", "a.`b", "`a`b", "a`b`", "*.a", "a.*",
      "a" + String(repeating: ".a", count: 31),
    ])
  func refusesPaths(_ path: String) {
    #expect(throws: ConfigError.self) { try SettingsPath(path, field: "paths[0]") }
  }

  @Test func limitsAreEnforced() throws {
    let deep = String(repeating: #"{"a":"#, count: 31) + "1" + String(repeating: "}", count: 31)
    #expect(try !patch("{}", with: deep).isEmpty)
    #expect(throws: ConfigError.self) { try patch("{}", with: #"{"a":\#(deep)}"#) }
    let long = String(repeating: "x", count: SettingsTree.bytesMax)
    #expect(throws: ConfigError.self) { try patch("{}", with: #"{"a":"\#(long)"}"#) }
    #expect(throws: ConfigError.self) { try patch("{}", with: #"{"":1}"#) }
    let key = String(repeating: "k", count: 257)
    #expect(throws: ConfigError.self) { try patch("{}", with: #"{"\#(key)":1}"#) }
    #expect(throws: ConfigError.self) { try patch("{}", with: #"{"a":"\u0000"}"#) }
    let paths = Array(repeating: "a", count: 101)
    #expect(throws: ConfigError.self) { try [SettingsPath](paths) }
  }

  @Test func etagsCountRevisions() {
    #expect(EntityTag(revision: 3).text == "\"3\"")
    #expect(EntityTag(revision: 3).satisfies(""))
    #expect(EntityTag(revision: 3).satisfies("\"3\""))
    #expect(!EntityTag(revision: 3).satisfies("3"))
    #expect(!EntityTag(revision: 3).satisfies("\"2\""))
  }
}
