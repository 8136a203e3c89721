import Foundation
import Glibc
import Logging
import Testing

@testable import Observability

/// fcntl(2): the size of a pipe.
private let setPipeSize: Int32 = 1031

/// A pipe whose reading end the test holds.
private final class LogPipe {
  private(set) var reader: Int32
  let writer: Int32

  init() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    (reader, writer) = (ends[0], ends[1])
    try #require(fcntl(reader, F_SETFL, O_NONBLOCK) == 0)
  }

  deinit {
    if reader >= 0 { close(reader) }
    close(writer)
  }

  func closeReader() {
    close(reader)
    reader = -1
  }

  /// What is in the pipe now.
  func drain() -> String {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = read(reader, &chunk, chunk.count)
      guard count > 0 else { return String(decoding: all, as: UTF8.self) }
      all.append(contentsOf: chunk[..<count])
    }
  }
}

/// What one call of `log` wrote, as text and as the JSON object it has to be.
private func written(
  format: LogFormat = .json, level: Logger.Level = .trace, _ log: (Logger) -> Void
) throws -> String {
  let pipe = try LogPipe()
  let backend = LogBackend(
    service: "gateway", format: format, level: level, descriptor: pipe.writer)
  log(backend.logger(label: "gateway"))
  return pipe.drain()
}

private func object(_ line: String) throws -> [String: Any] {
  #expect(line.hasSuffix("\n"))
  #expect(line.utf8.filter { $0 == 0x0a }.count == 1, "one line: \(line)")
  #expect(line.utf8.count <= LineBuffer.bytesMaximum)
  return try #require(
    try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
}

@Suite struct JSONLogTests {
  @Test func fieldsInTheirOrder() async throws {
    let trace = TraceContext(
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    let context = RequestContext(
      requestID: try #require(RequestID("r-1")), trace: trace, tenant: "acme", store: "demo",
      operation: "op-1", principal: "user:1")
    let line = try context.run {
      try written { $0.warning("half full", metadata: ["b": "2", "a": .stringConvertible(1)]) }
    }
    let pattern =
      #"^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"warning","message":"half full","#
      + #""service":"gateway","request_id":"r-1","trace_id":"0af7651916cd43dd8448eb211c80319c","#
      + #""tenant":"acme","store":"demo","operation":"op-1","principal":"user:1","a":1,"b":"2"\}\n$"#
    #expect(line.range(of: pattern, options: .regularExpression) != nil, "\(line)")
  }

  @Test func contextRidesIntoAsynchronousWork() async throws {
    let pipe = try LogPipe()
    let backend = LogBackend(
      service: "provisioner", format: .json, level: .info, descriptor: pipe.writer)
    let logger = backend.logger(label: "provisioner")
    let context = RequestContext(requestID: try #require(RequestID("r-2")), store: "demo")
    await context.run {
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          await Task.yield()
          logger.info("step done")
        }
      }
    }
    let line = try object(pipe.drain())
    #expect(line["request_id"] as? String == "r-2")
    #expect(line["store"] as? String == "demo")
  }

  @Test func nothingStartsALineOrDrivesATerminal() throws {
    let evil = "a\nb\r\u{1b}[31m\u{9b}2J\u{0}\u{7f}\u{202e}\u{2028}\t\"\\é😀"
    let line = try written { $0.info("\(evil)", metadata: ["k\n\"": "\(evil)"]) }
    let fields = try object(line)
    #expect(fields["message"] as? String == evil)
    #expect(fields["k\n\""] as? String == evil)
    for scalar in line.dropLast().unicodeScalars {
      #expect(scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value))
      #expect(scalar != "\u{202e}" && scalar != "\u{2028}")
    }
    #expect(line.contains("é😀"), "what is harmless stays readable")
  }

  @Test func longValuesAreCutAtACharacter() throws {
    let fields = try object(
      try written { $0.info("m", metadata: ["v": "\(String(repeating: "é", count: 4000))"]) })
    let value = try #require(fields["v"] as? String)
    #expect(value == String(repeating: "é", count: 512) + "…")
    #expect(fields["truncated"] == nil)
    let emoji = try object(
      try written { $0.info("\("x" + String(repeating: "😀", count: 400))") })
    #expect(emoji["message"] as? String == "x" + String(repeating: "😀", count: 255) + "…")
  }

  @Test func aLineIsBoundedAndSaysSo() throws {
    var metadata = Logger.Metadata()
    for index in 10..<40 { metadata["key\(index)"] = "\(String(repeating: "\u{1}", count: 900))" }
    metadata["short"] = "kept"
    let fields = try object(try written { $0.error("too much", metadata: metadata) })
    #expect(fields["truncated"] as? Bool == true)
    #expect(fields["message"] as? String == "too much")
    #expect(
      fields["short"] as? String == "kept", "a field that fits is not lost with one that does not")
    #expect(fields["key11"] == nil)
  }

  /// Control characters take six bytes each: the worst message there can be.
  @Test func theWorstMessageStillMakesALine() throws {
    let worst = String(repeating: "\u{1}", count: 5000)
    let line = try written { $0.error("\(worst)", metadata: ["k": "v"]) }
    #expect(line.utf8.count <= LineBuffer.bytesMaximum)
    #expect(line.hasSuffix("}\n"))
    let fields = try object(line)
    #expect(fields["service"] as? String == "gateway")
    #expect(fields["k"] as? String == "v")
    let message = try #require(fields["message"] as? String)
    #expect(message == String(repeating: "\u{1}", count: 341) + "…", "2048 bytes of six each")
  }

  @Test func nestedValues() throws {
    let fields = try object(
      try written {
        $0.info(
          "m",
          metadata: [
            "list": ["a", ["b": "c", "d": ["e"]]],
            "flag": .stringConvertible(true),
            "deep": [[[[[["too deep"]]]]]],
          ])
      })
    let list = try #require(fields["list"] as? [Any])
    #expect(list.first as? String == "a")
    #expect((list.last as? [String: Any])?["b"] as? String == "c")
    #expect(fields["flag"] as? Bool == true)
    let deep = try JSONSerialization.data(withJSONObject: try #require(fields["deep"]))
    #expect(String(decoding: deep, as: UTF8.self) == #"[[[["…"]]]]"#)
  }

  @Test(arguments: [
    "password", "PASSWORD", "db_password", "dbPassword", "admin-password", "client_secret",
    "JWT_SECRET", "access_token", "token", "Authorization", "proxy-authorization", "Set-Cookie",
    "api_key", "apiKey", "PLATFORM_ENCRYPTION_KEY", "tls.private_key", "DATABASE_URL", "kubeconfig",
  ])
  func secretsAreRedacted(key: String) throws {
    for format in LogFormat.allCases {
      let line = try written(format: format) {
        $0.info("m", metadata: ["\(key)": "hunter2", "nested": ["\(key)": ["hunter2"]]])
      }
      #expect(!line.contains("hunter2"), "\(line)")
      #expect(line.contains("[redacted]"))
    }
  }

  @Test(arguments: [
    "secret_name", "tokens", "key", "passwords_checked", "store", "pass", "word", "",
  ])
  func otherKeysAreNot(key: String) throws {
    #expect(!SecretKeys.contains(key))
  }

  @Test func metadataCannotPoseAsAFieldOfTheLine() throws {
    let fields = try object(
      try written { $0.info("m", metadata: ["level": "critical", "request_id": "forged"]) })
    #expect(fields["level"] as? String == "info")
    #expect(fields["request_id"] == nil)
    #expect(fields["metadata.level"] as? String == "critical")
    #expect(fields["metadata.request_id"] as? String == "forged")
  }

  @Test func metadataOfLoggerProviderAndCallAreJoined() throws {
    let pipe = try LogPipe()
    let backend = LogBackend(
      service: "audit", format: .json, level: .info, descriptor: pipe.writer)
    var logger = Logger(label: "http") { label in
      var handler = StructuredLogHandler(label: label, backend: backend)
      handler.metadataProvider = Logger.MetadataProvider { ["a": "provider", "b": "provider"] }
      return handler
    }
    logger[metadataKey: "a"] = "logger"
    logger[metadataKey: "c"] = "logger"
    struct Oops: Error, CustomStringConvertible { let description = "it broke" }
    logger.error("m", error: Oops(), metadata: ["b": "call"])
    let fields = try object(pipe.drain())
    #expect(fields["a"] as? String == "provider")
    #expect(fields["b"] as? String == "call")
    #expect(fields["c"] as? String == "logger")
    #expect(fields["logger"] as? String == "http")
    #expect(fields["error"] as? String == "it broke")
  }

  @Test func linesBelowTheLevelAreNotMade() throws {
    #expect(try written(level: .warning) { $0.info("m") } == "")
    #expect(try written(level: .warning) { $0.warning("m") } != "")
  }
}

@Suite struct HumanLogTests {
  private func line(_ entry: LogEntry, coloured: Bool) -> String {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: LineBuffer.bytesMaximum) { storage in
      var line = LineBuffer(storage: storage)
      entry.appendHuman(to: &line, coloured: coloured)
      return String(decoding: line.bytes, as: UTF8.self)
    }
  }

  @Test func oneReadableLine() throws {
    let entry = LogEntry(
      time: Timestamp(seconds: 1_795_231_038, milliseconds: 42), level: .warning,
      message: "slow\nquery", error: nil, service: "audit", label: nil,
      context: RequestContext(requestID: try #require(RequestID("r-1")), store: "my store"),
      metadata: ["took": "12 ms", "rows": .stringConvertible(3), "table": "events", "none": ""])
    #expect(
      line(entry, coloured: false)
        == "2026-11-21T03:17:18.042Z WARNING audit: slow\\nquery request_id=r-1 "
        + "store=\"my store\" none=\"\" rows=3 table=events took=\"12 ms\"\n")
    #expect(line(entry, coloured: true).contains(" \u{1b}[33mWARNING\u{1b}[0m audit:"))
  }

  @Test func noColourWhereThereIsNoTerminal() throws {
    let line = try written(format: .human) { $0.error("m") }
    #expect(!line.contains("\u{1b}"))
    #expect(line.hasSuffix(" ERROR gateway: m\n"))
  }
}

@Suite struct TimestampTests {
  @Test func agreesWithFoundation() throws {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime]
    var generator = SystemRandomNumberGenerator()
    let chosen = [0, -1, 951_782_400, 951_868_799, 4_107_542_399, 253_402_300_799, -62_135_596_800]
    let random = (0..<2000).map { _ in
      Int.random(in: -11_000_000_000...253_402_300_799, using: &generator)
    }
    for seconds in chosen + random {
      let text = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { storage in
        var line = LineBuffer(storage: storage)
        Timestamp(seconds: seconds, milliseconds: 7).append(to: &line)
        return String(decoding: line.bytes, as: UTF8.self)
      }
      let expected = formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
      // Foundation turns to the Julian calendar before 1582.
      if seconds > -12_219_292_800 {
        #expect(text == expected.replacing("Z", with: ".007Z"), "\(seconds)")
      }
    }
  }
}

@Suite struct LogSinkTests {
  @Test func aFullPipeDropsCountsAndTells() throws {
    let pipe = try LogPipe()
    try #require(fcntl(pipe.writer, setPipeSize, 8192) == 8192)
    let backend = LogBackend(
      service: "audit", format: .json, level: .info, descriptor: pipe.writer)
    let logger = backend.logger(label: "audit")
    for index in 0..<200 { logger.info("line \(index)") }
    let taken = pipe.drain().split(separator: "\n").count
    #expect(taken > 0 && taken < 200)
    #expect(backend.droppedLines == 200 - taken)
    logger.info("again")
    let lines = pipe.drain().split(separator: "\n").map { String($0) + "\n" }
    try #require(lines.count == 2)
    let notice = try object(lines[0])
    #expect(notice["level"] as? String == "warning")
    #expect(notice["lines"] as? Int == 200 - taken)
    #expect(try object(lines[1])["message"] as? String == "again")
    logger.info("once more")
    #expect(pipe.drain().split(separator: "\n").count == 1, "told once")
  }

  @Test func aReaderThatWentAwayIsNoTrouble() throws {
    signal(SIGPIPE, SIG_IGN)
    let pipe = try LogPipe()
    let backend = LogBackend(
      service: "audit", format: .json, level: .info, descriptor: pipe.writer)
    pipe.closeReader()
    backend.logger(label: "audit").info("nobody hears")
    #expect(backend.droppedLines == 1)
  }

  @Test func aFullSocketDropsToo() throws {
    var ends: [Int32] = [0, 0]
    try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    defer { for end in ends { close(end) } }
    let backend = LogBackend(service: "audit", format: .json, level: .info, descriptor: ends[0])
    let logger = backend.logger(label: "audit")
    let text = String(repeating: "x", count: 1000)
    for _ in 0..<2000 { logger.info("\(text)") }
    #expect(backend.droppedLines > 0)
  }

  @Test func manyThreadsNeverMixLines() async throws {
    let pipe = try LogPipe()
    try #require(fcntl(pipe.writer, setPipeSize, 1 << 20) > 0)
    let backend = LogBackend(
      service: "audit", format: .json, level: .info, descriptor: pipe.writer)
    let logger = backend.logger(label: "audit")
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask {
          for index in 0..<100 { logger.info("\(worker):\(index)") }
        }
      }
    }
    let messages = try pipe.drain().split(separator: "\n").map {
      try object(String($0) + "\n")["message"] as? String
    }
    #expect(Set(messages).count == 800)
  }
}
