import Foundation
import HTTP
import JSON
import Reactor
import Synchronization

/// A server that answers as a test tells it to: what a real gateway seldom does.
final class ScriptedGateway: Sendable {
  struct Answer: Sendable {
    var status: Int
    var headers: HTTPHeaders = [:]
    var body = ""
    /// The connection is cut off instead.
    var isCut = false

    static func problem(_ status: Int, _ code: String, _ headers: HTTPHeaders = [:]) -> Answer {
      var headers = headers
      headers["content-type"] = "application/problem+json"
      return Answer(
        status: status, headers: headers,
        body: #"{"status": \#(status), "code": "\#(code)", "detail": "told so"}"#)
    }

    static func json(_ body: String) -> Answer {
      Answer(status: 200, headers: ["content-type": "application/json"], body: body)
    }

    static func events(_ body: String) -> Answer {
      Answer(status: 200, headers: ["content-type": "text/event-stream"], body: body)
    }

    static let cut = Answer(status: 0, isCut: true)
  }

  struct Received: Sendable {
    let target: String
    let authorization: String?
    let body: String
  }

  private struct State {
    var answers: [Answer]
    var received: [Received] = []
  }

  private let state: Mutex<State>
  private let reactor: Reactor
  private let server: Confined<HTTPServer>
  let address: String

  /// - Parameter answers: one a request, in their order; then 404.
  init(_ answers: [Answer]) async throws {
    state = Mutex(State(answers: answers))
    reactor = try Reactor.start(name: "scripted")
    let handler: Confined<Handler>
    let port: UInt16
    (handler, server, port) = try await reactor.run { reactor in
      let handler = Handler()
      let server = HTTPServer(reactor: reactor, handler: handler)
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      return (Confined(value: handler), Confined(value: server), address.port ?? 0)
    }
    address = "http://127.0.0.1:\(port)"
    await reactor.run { _ in handler.value.gateway = self }
  }

  deinit { reactor.loop.stop() }

  var received: [Received] { state.withLock { $0.received } }

  fileprivate func next(_ request: Received) -> Answer {
    state.withLock { state in
      state.received.append(request)
      return state.answers.isEmpty ? .problem(404, "NOT_FOUND") : state.answers.removeFirst()
    }
  }

  private struct CutOff: Error {}

  private final class Handler: HTTPHandler {
    weak var gateway: ScriptedGateway?

    func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
      let body = try await request.collectBody(upTo: 1 << 20)
      let received = Received(
        target: request.head.target, authorization: request.head.headers["authorization"],
        body: String(decoding: body, as: UTF8.self))
      guard let answer = gateway?.next(received), !answer.isCut,
        let status = HTTPStatus(code: answer.status)
      else {
        // What has begun and ends by an error is cut off.
        try response.start(HTTPResponseHead(status: .ok), length: 10)
        throw CutOff()
      }
      try await response.send(status, answer.headers, body: Array(answer.body.utf8))
    }
  }
}
