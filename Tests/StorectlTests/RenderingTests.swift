import Foundation
import Glibc
import JSON
import Testing

@testable import Storectl

@Suite struct RenderingTests {
  private let plain = Terminal(.output, environment: ["TERM": "dumb"])

  @Test func documentsAreWrittenAsTheyAre() throws {
    let text = #"""
      {"a":{"n":1.50,"t":true,"z":null},"b":["1","true",2],"c":{},"d":[],"e":"x: y\nz","null":"null"}
      """#
    let document = try JSON(parsing: text)
    #expect(try JSON(parsing: Document.indentedJSON(document)) == document)
    #expect(
      Document.indentedJSON(["a": [1], "b": [:]]) == "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}")
    let yaml = """
      a:
        n: 1.50
        t: true
        z: null
      b:
      - '1'
      - 'true'
      - 2
      c: {}
      d: []

      """
    let written = try Document.yaml(document)
    #expect(written.hasPrefix(yaml), "\(written)")
    #expect(written.hasSuffix("'null': 'null'\n"))
  }

  @Test func aTableIsAsWideAsItsTexts() {
    var table = Table(["NAME", "STATE"])
    table.add([.init("a-long-name"), .init("ready", .green)])
    table.add([.init("b"), .init("")])
    #expect(table.lines(on: plain) == ["NAME         STATE", "a-long-name  ready", "b"])
    #expect(Table(["A", "B"], widthsMin: [4]).heading(on: plain) == "A     B")
  }

  @Test func whatTheOtherSideSaysMovesNoCursor() {
    #expect(Table.Cell("a\u{1B}[2Jb\u{9B}1mc\nd\u{7F}").text == "a [2Jb 1mc d ")
    #expect("ä 漢 😀".printable == "ä 漢 😀")
  }

  @Test func coloursAreForTerminals() {
    #expect(!Terminal(.output, environment: ["NO_COLOR": "1"]).isColoured)
    #expect(plain.styled("x", .red) == "x")
  }

  @Test(arguments: [
    ("2026-11-21T06:30:00Z", 1_795_242_600, 0),
    ("2026-11-21T06:30:00.25Z", 1_795_242_600, 250_000_000),
    ("2026-11-21T07:30:00.000000001+01:00", 1_795_242_600, 1), ("1970-01-01T00:00:00Z", 0, 0),
  ])
  func timesAreRead(text: String, seconds: Int64, nanoseconds: Int64) {
    #expect(WallTime(text) == WallTime(seconds: seconds, nanoseconds: nanoseconds))
  }

  @Test(arguments: [
    "", "now", "2026-11-21", "2026-11-21T06:30:00.Z", "2026-11-21T06:30:00.0123456789Z",
  ])
  func whatIsNoTimeIsNone(text: String) { #expect(WallTime(text) == nil) }

  @Test func timesAreShownWhereTheUserIs() {
    setenv("TZ", "UTC", 1)
    tzset()
    let time = WallTime(seconds: 1_795_242_605)
    #expect(time.dateAndTime == "2026-11-21 06:30:05")
    #expect(time.rfc3339 == "2026-11-21T06:30:05Z")
    #expect("soon".asLocalTime == "soon")
  }

  @Test func spansAreReadAndWritten() {
    #expect(SpanText.seconds("90") == 90)
    #expect(SpanText.seconds("90s") == 90)
    #expect(SpanText.seconds("15m") == 900)
    #expect(SpanText.seconds("2h") == 7200)
    #expect(SpanText.seconds("1d") == 86_400)
    for text in ["", "s", "-1", "1.5s", "1w", "9999999999999", "١s"] {
      #expect(SpanText.seconds(text) == nil, "\(text)")
    }
    #expect(SpanText.text(seconds: 0.44) == "0.4 s")
    #expect(SpanText.text(seconds: 59.4) == "59 s")
    #expect(SpanText.text(seconds: 185) == "3 min 5 s")
    #expect(SpanText.text(seconds: 7260) == "2 h 1 min")
  }

  @Test func pathsOfSettingsAreReadAndWritten() throws {
    #expect(try SettingPath("a.bC-d_1").keys == ["a", "bC-d_1"])
    #expect(try SettingPath("`a.b`.c.`d e`").keys == ["a.b", "c", "d e"])
    #expect(try SettingPath("`a.b`.c").text == "`a.b`.c")
    #expect(SettingPath(keys: ["ü", "x"]).text == "`ü`.x")
    for text in ["", ".", "a.", ".a", "a..b", "`a", "a`b`", "`a`b", "``"] {
      #expect(throws: CommandFailure.self, "\(text)") { try SettingPath(text) }
    }
  }

  @Test func changesOfSettingsAreReadAndJoined() throws {
    #expect(try SettingChange("a=b=c").value == "b=c")
    #expect(
      try SettingChange("`a=b`=1") == SettingChange(path: SettingPath(keys: ["a=b"]), value: 1))
    #expect(try SettingChange("a=").value == "")
    #expect(try SettingChange("a=\"5\"").value == "5")
    #expect(try SettingChange("a={\"b\":[1]}").value == ["b": [1]])
    let changes = [
      try SettingChange("a.b=1"), try SettingChange("a.c=2"), try SettingChange("d=3"),
    ]
    #expect(JSON.object(try SettingChange.tree(of: changes)) == ["a": ["b": 1, "c": 2], "d": 3])
    for clash in [["a=1", "a=2"], ["a=1", "a.b=2"], ["a.b=1", "a=2"]] {
      let changes = try clash.map { try SettingChange($0) }
      #expect(throws: CommandFailure.self, "\(clash)") { try SettingChange.tree(of: changes) }
    }
    let tree: JSON = ["a": ["b": 1, "c": [:]], "d": [1]]
    #expect(tree.leaves.map(\.path.text) == ["a.b", "a.c", "d"])
  }

  @Test func addressesAndPathsAreMade() throws {
    let address = try GatewayAddress("https://gateway.example.com/")
    #expect(!address.isExposed)
    #expect(try GatewayAddress("http://10.0.0.1:8080").isExposed)
    #expect(try !GatewayAddress("http://localhost:8080").isExposed)
    let store = "a/b?c=ü"
    let url = address.url("/v1/stores/\(store):retry", [("x y", "1&2"), ("z", "é")])
    #expect(
      url?.absoluteString
        == "https://gateway.example.com/v1/stores/a%2Fb%3Fc%3D%C3%BC:retry?x%20y=1%262&z=%C3%A9")
  }

  @Test(arguments: [
    (400, "INVALID_ARGUMENT", StorectlExit.invalid), (400, "FAILED_PRECONDITION", .conflict),
    (401, "UNAUTHENTICATED", .denied), (403, "PERMISSION_DENIED", .denied),
    (404, "NOT_FOUND", .notFound), (409, "ALREADY_EXISTS", .conflict), (409, "ABORTED", .conflict),
    (413, "INVALID_ARGUMENT", .invalid), (429, "RESOURCE_EXHAUSTED", .unavailable),
    (500, "INTERNAL", .failed), (503, "UNAVAILABLE", .unavailable),
    (504, "DEADLINE_EXCEEDED", .timedOut), (302, "", .failed),
  ])
  func problemsHaveExitCodes(status: Int, code: String, expected: StorectlExit) {
    let problem = GatewayProblem(
      ["status": .number(JSONNumber(status)), "code": .string(code), "detail": "why"],
      status: status)
    #expect(problem.exitStatus == expected)
    #expect(problem.failure.message.hasPrefix("why"))
  }

  @Test func problemsNameTheirFields() {
    let problem = GatewayProblem(
      [
        "status": 400, "detail": "two fields are wrong", "instance": "req-1",
        "errors": [
          ["field": "name", "description": "too long"],
          ["field": "engine", "description": "missing"],
        ],
      ], status: 400)
    #expect(
      problem.failure.message
        == "two fields are wrong\n  name: too long\n  engine: missing\nrequest req-1")
    let foreign = GatewayProblem(nil, status: 418)
    #expect(foreign.failure.message.contains("HTTP 418"))
  }
}

@Suite struct ProgressTests {
  private func step(_ name: String, _ state: String, _ more: [(String, JSON)] = []) -> JSON {
    var step = JSONObject()
    step["name"] = .string(name)
    step["state"] = .string("STATE_\(state)")
    for (key, value) in more { step[key] = value }
    return .object(step)
  }

  private func operation(_ state: String, done: Bool = false, _ steps: JSON...) -> OperationProgress
  {
    OperationProgress([
      "id": "1", "kind": "KIND_PROVISION", "state": .string("STATE_\(state)"),
      "done": .bool(done), "steps": .array(steps),
    ])
  }

  private func texts(_ changes: [OperationProgress.Change]) -> [String] {
    changes.map { [$0.subject, $0.state, $0.text].joined(separator: "|") }
  }

  @Test func onlyWhatChangedIsTold() {
    let pending = operation("PENDING", step("release", "PENDING"), step("rollout", "PENDING"))
    #expect(texts(pending.changes(since: nil)) == ["|pending|"])
    let running = operation(
      "RUNNING", step("release", "RUNNING", [("detail", "installing"), ("attempts", 1)]),
      step("rollout", "PENDING"))
    #expect(texts(running.changes(since: pending)) == ["release|running|installing"])
    #expect(running.changes(since: running).isEmpty)
    #expect(running.current?.name == "release")
    let later = operation(
      "RUNNING",
      step(
        "release", "SUCCEEDED",
        [("startTime", "2026-01-01T00:00:00Z"), ("endTime", "2026-01-01T00:00:02.5Z")]),
      step(
        "rollout", "WAITING",
        [
          ("attempts", 2), ("detail", "old"),
          ("error", ["code": "CRASH_LOOP", "message": "it crashes"]),
        ]))
    #expect(
      texts(later.changes(since: running)) == [
        "release|succeeded|in 2.5 s", "rollout|waiting|attempt 2, CRASH_LOOP: it crashes",
      ])
    let done = operation("SUCCEEDED", done: true)
    #expect(texts(done.changes(since: later)) == ["|succeeded|"])
    #expect(texts(done.changes(since: nil)) == ["|succeeded|"])
  }

  @Test func aFailureSaysWhatToDo() {
    let failed = OperationProgress([
      "id": "op-1", "kind": "KIND_DELETE", "state": "STATE_FAILED", "done": true,
      "steps": [["name": "gone", "state": "STATE_FAILED"]],
      "error": ["code": "NAMESPACE_STUCK", "message": "a finalizer holds it", "retryable": true],
    ])
    let message = """
      delete of demo failed at the step gone
        NAMESPACE_STUCK: a finalizer holds it
      Try again: storectl stores delete demo --wait
      operation op-1
      """
    #expect(throws: CommandFailure(.failed, message)) { try failed.requireSuccess(of: "demo") }
  }

  @Test func eventsAreToldOnceAndForgottenInTime() {
    var seen = RecentEvents()
    let first = seen.insert("a")
    let second = seen.insert("a")
    #expect(first && !second)
    for number in 0..<RecentEvents.countMax { _ = seen.insert("\(number)") }
    let later = seen.insert("a")
    #expect(later, "as many others have come since")
    seen.recorded("2026-01-01T00:00:02Z")
    seen.recorded("2026-01-01T00:00:01Z")
    seen.recorded("no time")
    #expect(seen.latest == WallTime("2026-01-01T00:00:02Z"))
  }
}
