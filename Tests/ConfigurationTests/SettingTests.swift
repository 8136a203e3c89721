import Foundation
import Testing

@testable import Configuration

@Suite struct SettingKindTests {
  private func outcome<Value>(_ setting: Setting<Value>, _ text: String) -> Result<Value, Rejection>
  {
    do throws(Rejection) {
      return .success(try setting.parse(text))
    } catch {
      return .failure(error)
    }
  }

  private func isRejected<Value>(_ setting: Setting<Value>, _ text: String) -> Bool {
    if case .failure(let rejection) = outcome(setting, text) {
      return !rejection.reason.isEmpty && !rejection.remedy.isEmpty
    }
    return false
  }

  @Test func integers() throws {
    let setting = Setting.integer("N", in: 1...64, "How many.", example: 2)
    #expect(try outcome(setting, "1").get() == 1)
    #expect(try outcome(setting, "64").get() == 64)
    for bad in ["0", "65", "", "x", "1.5", "+1", " 1", "1 ", "0x10", "99999999999999999999", "١"] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
    #expect(
      outcome(setting, "65")
        == .failure(Rejection(reason: "is 65", remedy: "give a number from 1 to 64")))
  }

  @Test func durations() throws {
    let setting = Setting.duration(
      "D", in: .milliseconds(500) ... .seconds(300), "How long.", example: "10s")
    #expect(try outcome(setting, "500ms").get() == .milliseconds(500))
    #expect(try outcome(setting, "10s").get() == .seconds(10))
    #expect(try outcome(setting, "5m").get() == .seconds(300))
    for bad in ["499ms", "6m", "1h", "10", "s", "-1s", "1.5s", "10 s", "10S", "1m30s", "", "٣s"] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
    #expect(
      outcome(setting, "6m")
        == .failure(Rejection(reason: "is \"6m\"", remedy: "give 500ms to 5m")))
    #expect(DurationText.parse("2h") == .seconds(7200))
    #expect(DurationText.parse("7d") == .seconds(604_800))
    #expect(DurationText.parse("9223372036854775807d") == nil)
    #expect(DurationText.parse("9223372036855ms") == nil, "beyond 292 years of nanoseconds")
    #expect(DurationText.format(.seconds(90)) == "90s")
    #expect(DurationText.format(.seconds(7200)) == "2h")
    #expect(DurationText.format(.zero) == "0ms")
  }

  @Test func addressesOfHosts() throws {
    let setting = Setting.hostURL("U", "Where.", example: "https://{host}")
    let plain = try outcome(setting, "https://{host}").get()
    #expect(plain.url(host: "a.example.com") == "https://a.example.com")
    #expect(plain.effectivePort == 443)
    let local = try outcome(setting, "http://{host}:8880").get()
    #expect(local.url(host: "a.localhost") == "http://a.localhost:8880")
    #expect(local.authority(host: "a.localhost") == "a.localhost:8880")
    #expect(local.description == "http://{host}:8880" && local.effectivePort == 8880)
    for bad in [
      "", "{host}", "ftp://{host}", "https://shop", "https://{host}/", "https://{host}:",
      "https://{host}:0", "https://{host}:65536", "https://{host}:+80", "https://x.{host}",
      "https://{host}:٣", "HTTPS://{host}", "https://{host}:80:80",
    ] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
  }

  @Test func booleans() throws {
    let setting = Setting.boolean("B", "Whether.")
    for yes in ["true", "TRUE", "yes", "on", "1"] { #expect(try outcome(setting, yes).get()) }
    for no in ["false", "False", "no", "off", "0"] { #expect(try !outcome(setting, no).get()) }
    for bad in ["", "2", "maybe", "truee", " true"] { #expect(isRejected(setting, bad), "\(bad)") }
  }

  @Test func choicesSuggest() throws {
    #expect(try outcome(PlatformSettings.recovery, "fail").get() == .fail)
    #expect(
      outcome(PlatformSettings.recovery, "resum")
        == .failure(
          Rejection(
            reason: "is \"resum\"", remedy: "give one of resume, fail (did you mean resume?)")))
    #expect(isRejected(PlatformSettings.recovery, "RESUME"))
  }

  @Test func hostsAndPorts() throws {
    let setting = Setting.hostPort("A", "Where.", example: "0.0.0.0:8080")
    #expect(try outcome(setting, "0.0.0.0:8080").get() == HostPort(host: "0.0.0.0", port: 8080))
    #expect(try outcome(setting, "[::1]:0").get().description == "[::1]:0")
    #expect(try outcome(setting, "store-plane.svc_1.local:65535").get().port == 65_535)
    for bad in [
      "", "8080", ":8080", "a:", "a:65536", "a:-1", "a:x", "a:+1", "::1:80", "[::1]", "[::g]:1",
      "[a]:1", "a b:1", "-a:1", "a-:1", "a..b:1", "1.2.3:80", "1.2.3.256:80", "a/b:80", "u@a:80",
      String(repeating: "a", count: 64) + ":1",
    ] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
  }

  @Test func urls() throws {
    let setting = Setting.url("U", "Where.", example: "https://a.example")
    let address = try outcome(setting, "HTTPS://a.example:8443/x/y?z=1#f").get()
    #expect(address.scheme == "https" && address.host == "a.example" && address.port == 8443)
    #expect(address.path == "/x/y?z=1#f")
    #expect(try outcome(setting, "http://[::1]").get().host == "::1")
    #expect(try outcome(setting, "http://a").get().port == nil)
    for bad in [
      "", "a.example", "ftp://a", "https://", "https:///x", "https://a b", "https://a\n",
      "https://é",
      "https://user:hunter2@a", "https://a:99999", "https://a:", "//a", "https:a",
    ] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
    #expect(outcome(setting, "https://user:hunter2@a").failureText.contains("hunter2") == false)
  }

  @Test func lists() throws {
    let setting = Setting.list("L", countMaximum: 3, "Which.", example: "a,b")
    #expect(try outcome(setting, "a, b ,c").get() == ["a", "b", "c"])
    #expect(try outcome(setting, "").get() == [])
    for bad in ["a,,b", ",", "a,", "a,b,c,d"] { #expect(isRejected(setting, bad), "\(bad)") }
  }

  @Test func strings() throws {
    let setting = Setting.string("S", bytesMaximum: 5, "What.", example: "x")
    #expect(try outcome(setting, "é12").get() == "é12")
    for bad in ["123456", "a\nb", "a\u{0}"] { #expect(isRejected(setting, bad)) }
  }

  @Test func paths() throws {
    let folder = FileManager.default.temporaryDirectory.path
    let file = Setting.path("P", .readableFile, "Which.", example: "/x")
    #expect(try outcome(file, "/proc/self/status").get() == "/proc/self/status")
    for bad in [folder, "/does/not/exist", "", "a\u{0}b"] {
      #expect(isRejected(file, bad), "\(bad)")
    }
    let directory = Setting.path("P", .directory, "Which.", example: "/x")
    #expect(try outcome(directory, folder).get() == folder)
    #expect(isRejected(directory, "/proc/self/status"))
    let any = Setting.path("P", .any, "Which.", example: "/x")
    #expect(try outcome(any, "/does/not/exist").get() == "/does/not/exist")
  }

  @Test func filesOfText() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    let setting = Setting.textFile("F", "Which.", example: "/x")
    try Data("é\n".utf8).write(to: file)
    #expect(try outcome(setting, file.path).get() == TextFile(path: file.path, text: "é\n"))
    let most = Setting<TextFile>.textFileBytesMaximum
    try Data(repeating: 0x20, count: most).write(to: file)
    #expect(try outcome(setting, file.path).get().text.utf8.count == most)
    try Data(repeating: 0x20, count: most + 1).write(to: file)
    #expect(isRejected(setting, file.path))
    try Data([0xFF]).write(to: file)
    for bad in [file.path, "/does/not/exist", "/tmp"] {
      #expect(isRejected(setting, bad), "\(bad)")
    }
  }

  @Test func secrets() throws {
    let key = PlatformSettings.platformEncryptionKey
    let good = String(repeating: "aF", count: 32)
    #expect(try outcome(key, good).get().revealed() == good)
    for bad in ["", String(good.dropLast()), good + "0", String(repeating: "zz", count: 32)] {
      #expect(isRejected(key, bad))
      #expect(!outcome(key, bad).failureText.contains("zzzz"))
    }
    #expect(isRejected(PlatformSettings.jwtSecret, String(repeating: "x", count: 31)))
    #expect(!isRejected(PlatformSettings.jwtSecret, String(repeating: "x", count: 32)))
    let database = PlatformSettings.databaseURL
    for good in [
      "postgresql://u:p@h:5432/d", "postgres:///d?host=/run/pg", "postgresql://a:1,b:2/d",
      "postgresql://%2Frun%2Fpg/d",
    ] {
      #expect(!isRejected(database, good), "\(good)")
    }
    for bad in ["mysql://u:hunter2@h/d", "host=h password=hunter2", "postgresql://u:hunter2@h /d"] {
      #expect(isRejected(database, bad), "\(bad)")
      #expect(!outcome(database, bad).failureText.contains("hunter2"))
    }
  }

  @Test func aSecretShowsInNoWay() {
    let secret = Secret("hunter2")
    let wrapped: [String: Any] = ["k": secret, "o": Optional(secret) as Any]
    var dumped = ""
    dump(wrapped, to: &dumped)
    for text in [
      "\(secret)", String(reflecting: secret), String(describing: wrapped), dumped, "\([secret])",
    ] {
      #expect(!text.contains("hunter2"), "\(text)")
    }
    #expect(secret.byteCount == 7)
    #expect(secret.withBytes { Array($0) } == Array("hunter2".utf8))
    #expect(Secret("").revealed() == "")
  }

  @Test func declarationsAreChecked() async {
    await #expect(processExitsWith: .failure) {
      _ = Setting.integer("N", default: 9, in: 1...8, "How many.", example: 2)
    }
    await #expect(processExitsWith: .failure) { _ = Setting.boolean("lower", "Whether.") }
    await #expect(processExitsWith: .failure) {
      let setting = AnySetting(Setting.boolean("B", "Whether."))
      _ = ConfigurationSchema(service: "s", settings: [setting, setting])
    }
    await #expect(processExitsWith: .failure) {
      _ = ConfigurationSchema(
        service: "s",
        settings: [
          AnySetting(Setting.secret("TLS_KEY", "A.", example: "x")),
          AnySetting(PlatformSettings.tlsKeyFile),
        ])
    }
  }
}

extension Result where Failure == Rejection {
  fileprivate var failureText: String {
    if case .failure(let rejection) = self { return rejection.reason + " " + rejection.remedy }
    return ""
  }
}

@Suite struct SpellingTests {
  @Test func nearestIsASlipAway() {
    let keys = ["listen_address", "log_level", "log_format", "recovery"]
    #expect(Spelling.nearest(to: "listen_adress", among: keys) == "listen_address")
    #expect(Spelling.nearest(to: "LOG_LEVLE", among: keys) == "log_level")
    #expect(Spelling.nearest(to: "recoverry", among: keys) == "recovery")
    #expect(Spelling.nearest(to: "something", among: keys) == nil)
    #expect(Spelling.nearest(to: "", among: keys) == nil)
    #expect(Spelling.nearest(to: String(repeating: "x", count: 100_000), among: keys) == nil)
  }

  @Test func inputIsShownSafelyAndShortly() {
    #expect(Shown.text("a\n\u{1b}\u{202e}b") == "\"a\\u{a}\\u{1b}\\u{202e}b\"")
    #expect(Shown.text(String(repeating: "x", count: 100)).utf8.count < 80)
  }
}
