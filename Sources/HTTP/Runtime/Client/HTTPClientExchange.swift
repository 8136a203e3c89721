import Reactor

/// The connection of one request. Confined to its reactor.
final class HTTPClientExchange: ConnectionDelegate {
  typealias Outcome = Result<HTTPClientResponse, HTTPClientError>

  private let request: HTTPRequestHead
  private let requestBody: [UInt8]
  private var finished: ((Outcome) -> Void)?
  private var connection: Connection?
  private var parser: HTTP1ResponseParser
  private var output: [UInt8] = []
  private var head: HTTPResponseHead?
  private var body: [UInt8] = []

  init(
    _ request: HTTPRequestHead, body: [UInt8], limits: HTTPClientLimits,
    finished: @escaping (Outcome) -> Void
  ) {
    self.request = request
    requestBody = body
    self.finished = finished
    parser = HTTP1ResponseParser(limits: limits.message)
  }

  func start(_ connect: () throws -> Connection) {
    do {
      try writeRequest()
      let connection = try connect()
      self.connection = connection
      try connection.start(self)
    } catch let error as HTTP1EncodingError {
      end(HTTPClientError(.badRequest, "the request cannot be sent: \(error)"))
    } catch {
      end(HTTPClientError(.transport, "no connection: \(error)"))
    }
  }

  func end(_ error: HTTPClientError) { finish(.failure(error)) }

  private func finish(_ outcome: Outcome) {
    guard let finished else { return }
    self.finished = nil
    finished(outcome)
    connection?.close()
    connection = nil
  }

  private func writeRequest() throws(HTTP1EncodingError) {
    var encoder = HTTP1RequestEncoder()
    let content = requestBody
    let length = UInt64(content.count)
    try encoder.writeHead(request, body: length == 0 ? .none : .length(length), into: &output)
    if length > 0 { try encoder.writeBody(content.span, into: &output) }
    try encoder.writeEnd(into: &output)
    parser.expectResponse(to: request.method)
  }

  // MARK: ConnectionDelegate

  func connectionReady(_ connection: Connection) { connection.setNeedsFlush() }

  func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    output.append(self.output)
    self.output = []
  }

  func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    let received = Array(bytes)
    parser.receive(received.span)
    read()
  }

  func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    parser.receiveEnd()
    // A body without a length ends with the connection, but only if that was not cut.
    if case .closedByPeer = end { read() }
    self.end(
      HTTPClientError(.transport, "the connection ended before the answer did: \(end.words)"))
  }

  private func read() {
    do throws(HTTP1Error) {
      while finished != nil, let event = try parser.next() {
        switch event {
        case .informational, .closed, .switched: break
        case .head(let head, _): self.head = head
        case .body(let part): body += part
        case .end:
          guard let head else { return }
          finish(.success(HTTPClientResponse(head: head, body: body)))
        }
      }
    } catch {
      end(failure(error))
    }
  }

  private func failure(_ error: HTTP1Error) -> HTTPClientError {
    switch error.violation {
    case .incompleteMessage:
      HTTPClientError(.transport, "the connection ended before the answer did")
    case .bodyTooLarge, .fieldSectionTooLarge, .tooManyFields, .trailerSectionTooLarge:
      HTTPClientError(.limitReached, "the answer is too large: \(error)")
    default: HTTPClientError(.badAnswer, "what came is no answer of HTTP/1.1: \(error)")
    }
  }
}

extension ConnectionEnd {
  fileprivate var words: String {
    switch self {
    case .closedByPeer: "closed by the server"
    case .closedHere: "closed here"
    case .failed(let error): "\(error)"
    case .timedOut(let what): "the \(what) took too long"
    }
  }
}
