import Foundation
import Testing

@testable import Configuration

/// A folder for one test's files.
final class Folder {
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
