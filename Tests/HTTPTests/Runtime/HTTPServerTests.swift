import Foundation
import HTTP
import Reactor
import Synchronization
import TestKit
import Testing

/// The server against curl, in HTTP/1.1 and in HTTP/2.
@Suite(.serialized) struct HTTPServerCurlTests {
  static let protocols = ["--http1.1", "--http2-prior-knowledge"]

  private func curl(_ server: TestServer, _ path: String, _ arguments: String...) throws
    -> CommandResult
  {
    try CommandResult.run(
      ["curl", "-sS", "--max-time", "20"] + arguments + ["http://127.0.0.1:\(server.port)\(path)"])
  }

  @Test(arguments: protocols) func answers(version: String) async throws {
    let server = try await TestServer()
    let result = try curl(server, "/hello", version, "-i")
    #expect(result.output.hasPrefix(version == "--http1.1" ? "HTTP/1.1 200" : "HTTP/2 200"))
    #expect(result.output.contains("content-length: 5\r\n"))
    #expect(result.output.contains("\r\ndate: "))
    #expect(result.output.hasSuffix("\r\n\r\nhello"))
  }

  @Test(arguments: protocols) func showsTheSameHeadToTheHandler(version: String) async throws {
    let server = try await TestServer()
    let result = try curl(
      server, "/head?a=b%20c", version, "-H", "Host: Shop.Example", "-b", "a=1; b=2")
    let name = version == "--http1.1" ? "HTTP/1.1" : "HTTP/2"
    #expect(result.output == "\(name)|GET|shop.example|/head|a=b%20c|a=1; b=2|plain")
  }

  @Test(arguments: protocols) func answersHeadWithoutABody(version: String) async throws {
    let server = try await TestServer()
    let result = try curl(server, "/hello", version, "-I")
    #expect(result.status == 0)
    #expect(result.output.contains("content-length: 5\r\n"))
    #expect(result.output.hasSuffix("\r\n\r\n"))
  }

  @Test(arguments: protocols) func hidesErrorsOfTheHandler(version: String) async throws {
    let server = try await TestServer()
    for path in ["/throw", "/nothing", "/bad-field"] {
      let result = try curl(server, path, version, "-i")
      #expect(result.output.contains(" 500"))
      #expect(result.output.contains("content-type: application/problem+json"))
      #expect(!result.output.contains("s3cr3t"))
      #expect(!result.output.contains("set-cookie"))
    }
    #expect(
      server.seen.failures.withLock { $0 } == [
        "/throw: Refusal", "/nothing: HTTPExchangeError", "/bad-field: HTTP1EncodingError",
      ])
  }

  @Test(arguments: protocols) func cutsOffWhatCannotBeCompleted(version: String) async throws {
    let server = try await TestServer()
    for path in ["/cut", "/short"] {
      let result = try curl(server, path, version)
      #expect(result.status != 0)
    }
  }

  /// (curl 7.88 takes the reset that follows an early answer in HTTP/2 for a failure.)
  @Test func refusesABodyOverTheHandlersLimit() async throws {
    let version = "--http1.1"
    let server = try await TestServer()
    let fits = try curl(server, "/collect", version, "-d", String(repeating: "x", count: 1000))
    #expect(fits.output == "1000")
    let over = String(repeating: "x", count: 1001)
    let declared = try curl(server, "/collect", version, "-i", "-d", over)
    #expect(declared.output.contains(" 413"))
    let chunked = try curl(
      server, "/collect", version, "-i", "-d", over, "-H", "Transfer-Encoding: chunked")
    #expect(chunked.output.contains(" 413"))
    #expect(chunked.output.contains("the body has more than 1000 bytes"))
  }

  @Test func refusesABodyOverTheServersLimit() async throws {
    var limits = HTTPServerLimits()
    limits.bodyBytesMax = 100
    let server = try await TestServer(limits)
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try Data(count: 300_000).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    for arguments in [["-H", "Expect:"], ["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]] {
      let result = try CommandResult.run(
        ["curl", "-sS", "-i", "--max-time", "20", "--http1.1", "--data-binary", "@" + file.path]
          + arguments + ["http://127.0.0.1:\(server.port)/count"])
      #expect(result.output.contains(" 413"))
    }
  }

  @Test(arguments: protocols) func echoesALargeBody(version: String) async throws {
    var limits = HTTPServerLimits()
    limits.bodyBytesMax = 1 << 30
    let server = try await TestServer(limits)
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    var body = Data()
    for piece in 0..<80 { body.append(Data(repeating: UInt8(piece), count: 250_001)) }
    try body.write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let back = file.path + ".back"
    defer { try? FileManager.default.removeItem(atPath: back) }
    let result = try curl(server, "/echo", version, "-T", file.path, "-X", "POST", "-o", back)
    #expect(result.status == 0)
    #expect(try Data(contentsOf: URL(fileURLWithPath: back)) == body)
  }

  @Test(arguments: protocols) func sendsTrailers(version: String) async throws {
    let server = try await TestServer()
    // curl shows trailers behind the body.
    let result = try curl(server, "/trailers", version, "-i")
    #expect(result.output.contains("body"))
    #expect(result.output.contains("x-sum: 42"))
  }

  @Test func continuesOnlyWhenTheBodyIsWanted() async throws {
    let server = try await TestServer()
    let wanted = try RawClient(port: server.port)
    try wanted.send(
      "POST /collect HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
    #expect(try wanted.read(through: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
    try wanted.send("ab")
    #expect(try wanted.read(through: "\r\n\r\n2").hasPrefix("HTTP/1.1 200"))

    let unwanted = try RawClient(port: server.port)
    try unwanted.send(
      "POST /collect HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n")
    let answer = try unwanted.readToEnd()
    #expect(answer.hasPrefix("HTTP/1.1 413"))
    #expect(answer.contains("connection: close\r\n"))
  }
}
