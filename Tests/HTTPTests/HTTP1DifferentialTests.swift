import Foundation
import PythonPeer
import Testing

@testable import HTTP

/// Compares verdicts and parsed messages with h11 over seeded random connections, and each reading
/// with the same bytes fed one by one.
@Suite struct HTTP1DifferentialTests {
  private static let seed = SeededGenerator.seed(otherwise: 9112)
  private static let requestCases = 4000
  private static let responseCases = 2000

  /// The rules where h11 0.16 accepts what we refuse. Everything else must agree, and nothing that
  /// h11 refuses may be accepted.
  private static let stricter: [HTTP1Violation: String] = [
    .bareLineFeed: "h11 takes LF for CRLF",
    .connectUnsupported: "h11 leaves CONNECT to its user",
    .targetInvalid: "h11 takes any visible ASCII as a target",
    .versionUnsupported: "h11 takes any HTTP/d.d",
    .lineFolding: "h11 unfolds",
    .fieldValueInvalid: "h11 takes control characters other than NUL and white space",
    .hostInvalid: "h11 does not look into Host",
    .hostMismatch: "h11 does not compare Host and target",
    .contentLengthRepeated: "h11 joins equal lengths",
    .contentLengthWithTransferEncoding: "h11 lets Transfer-Encoding win",
    .transferEncodingInVersion10: "h11 decodes chunks in HTTP/1.0",
    .expectationUnknown: "h11 ignores unknown expectations",
    .bodyTooLarge: "h11 has no limit of bodies",
    .chunkSizeInvalid: "h11 takes blanks behind a chunk size, and 20 digits",
    .chunkExtensionInvalid: "h11 takes anything behind \";\"",
    .trailerForbidden: "h11 takes framing fields in trailers",
    .statusLineMalformed: "h11 takes control characters in a reason",
  ]

  @Test func requestsAgreeWithH11() throws {
    var generator = SeededGenerator(seed: Self.seed)
    let cases = (0..<Self.requestCases).map { _ in
      HTTP1MessageGenerator.requests(&generator)
    }
    let verdicts = try run(cases.map { "Q " + Hexadecimal.encode($0) })
    var outcomes = Outcomes()
    for (bytes, verdict) in zip(cases, verdicts) {
      let reading = Reading<HTTP1RequestEvent>(bytes)
      #expect(Reading<HTTP1RequestEvent>(bytes, step: 1) == reading)
      compare(
        bytes, joined(reading.events.map(render)), reading.error, Verdict(verdict), &outcomes)
    }
    outcomes.checkCoverage(of: Self.stricter.keys.filter { $0 != .statusLineMalformed })
  }

  @Test func responsesAgreeWithH11() throws {
    var generator = SeededGenerator(seed: Self.seed + 1)
    let cases = (0..<Self.responseCases).map { _ in
      (
        method: generator.pick([HTTPMethod.get, .get, .post, .head]),
        bytes: HTTP1MessageGenerator.response(&generator)
      )
    }
    let verdicts = try run(cases.map { "P \($0.method) " + Hexadecimal.encode($0.bytes) })
    var outcomes = Outcomes()
    for ((method, bytes), verdict) in zip(cases, verdicts) {
      let reading = Reading<HTTP1ResponseEvent>(bytes, to: method)
      #expect(Reading<HTTP1ResponseEvent>(bytes, to: method, step: 1) == reading)
      compare(
        bytes, joined(reading.events.map(render)), reading.error, Verdict(verdict), &outcomes)
    }
    outcomes.checkCoverage(of: [
      .bareLineFeed, .versionUnsupported, .lineFolding, .fieldValueInvalid,
      .contentLengthRepeated, .contentLengthWithTransferEncoding, .transferEncodingInVersion10,
      .chunkSizeInvalid, .statusLineMalformed,
    ])
  }

  private func run(_ cases: [String]) throws -> [String] {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/h11_verdicts.py")
    return try PythonPeer.run(script, cases: cases)
  }

  private struct Verdict {
    let events: [String]
    let isError: Bool

    init(_ line: String) {
      let parts = line.split(separator: " ").map(String.init)
      isError = parts.last == "error"
      events = isError || parts.last == "done" ? Array(parts.dropLast()) : parts
    }
  }

  private struct Outcomes {
    var accepted = 0
    var refusedByBoth = 0
    var stricter: [HTTP1Violation: Int] = [:]

    /// The generator must reach every outcome, or the comparison says nothing about it.
    func checkCoverage(of rules: [HTTP1Violation]) {
      #expect(accepted > 200)
      #expect(refusedByBoth > 200)
      for rule in rules { #expect(stricter[rule, default: 0] > 0, "no case of \(rule)") }
    }
  }

  private func compare(
    _ bytes: [UInt8], _ events: [String], _ error: HTTP1Error?, _ verdict: Verdict,
    _ outcomes: inout Outcomes
  ) {
    func text() -> Comment {
      Comment(
        rawValue: "seed \(Self.seed): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
    }
    guard let error else {
      #expect(!verdict.isError, text())
      #expect(events == verdict.events, text())
      outcomes.accepted += 1
      return
    }
    if verdict.isError, events == verdict.events {
      outcomes.refusedByBoth += 1
    } else {
      #expect(Self.stricter[error.violation] != nil, "\(error) \(text())")
      #expect(verdict.events.starts(with: events), text())
      outcomes.stricter[error.violation, default: 0] += 1
    }
  }

  // MARK: The rendering that h11_verdicts.py uses

  /// Puts each message's body before its end: "E:BODY:TRAILERS".
  private func joined(_ events: [String]) -> [String] {
    var result: [String] = []
    var body = ""
    for event in events {
      if event.hasPrefix(":") {
        result.append("E:" + body + event)
        body = ""
      } else if event.allSatisfy(\.isHexDigit) {
        body = event
      } else {
        result.append(event)
      }
    }
    return result
  }

  private func render(_ event: HTTP1RequestEvent) -> String {
    switch event {
    case .head(let head, let control):
      let origin = head.scheme.map { "\($0)://\(head.authority)" } ?? ""
      let target = Hexadecimal.encode((origin + head.target).utf8)
      let version = control.version.rawValue.suffix(3)
      return "H:\(head.method):\(target):\(version):\(render(head.headers))"
    case .body(let data): return Hexadecimal.encode(data)
    case .end(let trailers): return ":" + render(trailers)
    case .closed: return "closed"
    }
  }

  private func render(_ event: HTTP1ResponseEvent) -> String {
    switch event {
    case .informational(let head):
      return "I:\(head.status.code):\(render(head.headers))"
    case .head(let head, let control):
      let version = control.version.rawValue.suffix(3)
      return "S:\(head.status.code):\(version):\(render(head.headers))"
    case .body(let data): return Hexadecimal.encode(data)
    case .end(let trailers): return ":" + render(trailers)
    case .switched, .closed: return "unexpected"
    }
  }

  private func render(_ headers: HTTPHeaders) -> String {
    var fields: [String] = []
    headers.forEachField { name, value in
      let text = String(copying: name)
      let bytes = (0..<value.count).map { value[$0] }
      let shown = text == "transfer-encoding" ? bytes.map(\.lowercased) : bytes
      fields.append("\(text)=\(Hexadecimal.encode(shown))")
    }
    return fields.joined(separator: ",")
  }
}
