import HTTP
import Reactor

/// One command's connection: HTTP/1.1, switched to a WebSocket. Confined to its reactor.
final class ExecConnection: ConnectionDelegate {
  /// Standard input is sent in messages of this size.
  static let messageBytesMax = 16 * 1024
  /// A refusal's Status.
  static let refusalBytesMax = 64 * 1024

  struct End {
    let result: Result<ExecOutcome, KubernetesError>
    /// How the connection ended.
    var reason = ""
    /// Whether the request may have reached the server.
    let wasReached: Bool
  }

  private enum State {
    case opening
    case refused(HTTPResponseHead)
    case open
    case ended
  }

  private let reactor: Reactor
  private let request: HTTPRequestHead
  private let stdin: [UInt8]
  private let finished: (End) -> Void
  private let handshake = WebSocketHandshake(protocols: [ExecOutcome.subprotocol])
  private var connection: Connection?
  private var state = State.opening
  private var outcome: ExecOutcome
  private var parser = HTTP1ResponseParser()
  private var decoder = WebSocketDecoder(role: .client)
  private var encoder = WebSocketEncoder(role: .client)
  private var output: [UInt8] = []
  private var stdinSent = 0
  private var refusal: [UInt8] = []
  private var wasReached = false

  /// - Parameter finished: called once, with what came on the channels, or why nothing could.
  init(
    _ reactor: Reactor, _ request: HTTPRequestHead, _ exec: ExecRequest,
    finished: @escaping (End) -> Void
  ) {
    self.reactor = reactor
    self.request = request
    self.finished = finished
    stdin = exec.stdin
    outcome = ExecOutcome(exec)
  }

  func start(_ connection: Connection) throws {
    self.connection = connection
    try connection.start(self)
  }

  func abandon(_ error: KubernetesError) { finish(.failure(error)) }

  private func finish(_ result: Result<ExecOutcome, KubernetesError>, _ reason: String = "") {
    if case .ended = state { return }
    state = .ended
    finished(End(result: result, reason: reason, wasReached: wasReached))
    connection?.close()
    connection = nil
  }

  // MARK: ConnectionDelegate

  func connectionReady(_ connection: Connection) {
    wasReached = true
    var head = request
    handshake.addFields(to: &head.headers)
    var encoder = HTTP1RequestEncoder()
    do {
      try encoder.writeHead(head, body: .none, into: &output)
    } catch {
      return finish(.failure(KubernetesError(.invalid, "exec: \(error)")))
    }
    parser.expectResponse(to: .get, requestedUpgrade: true)
    connection.setNeedsFlush()
  }

  func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
    do throws(KubernetesError) {
      let bytes = Array(bytes)
      switch state {
      case .opening, .refused: try readHead(bytes)
      case .open: try readMessages(bytes)
      case .ended: break
      }
    } catch {
      finish(.failure(error))
    }
  }

  func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
    if !self.output.isEmpty {
      output.append(self.output)
      self.output = []
    }
    guard case .open = state else { return }
    while stdinSent < stdin.count, output.count < room {
      let end = min(stdinSent + Self.messageBytesMax, stdin.count)
      var frame: [UInt8] = []
      let message = [ExecOutcome.Channel.stdin.rawValue] + stdin[stdinSent..<end]
      _ = encoder.write(.binary(message), into: &frame)
      output.append(frame)
      stdinSent = end
    }
  }

  func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {
    if case .open = state { return finish(.success(outcome), end.words) }
    finish(.failure(KubernetesError(.transport, "exec: no connection: \(end.words)")))
  }

  // MARK: Reading

  private func readHead(_ bytes: [UInt8]) throws(KubernetesError) {
    parser.receive(bytes.span)
    do {
      while let event = try parser.next() {
        switch event {
        case .informational, .closed: break
        case .switched(let head):
          _ = try handshake.validate(head)
          state = .open
          connection?.setNeedsFlush()
          return try readMessages(parser.takeRemaining())
        case .head(let head, _): state = .refused(head)
        case .body(let part): refusal += part.prefix(Self.refusalBytesMax - refusal.count)
        case .end: throw refused()
        }
      }
    } catch let error as KubernetesError {
      throw error
    } catch {
      throw KubernetesError(.badAnswer, "exec: \(error)")
    }
  }

  private func refused() -> KubernetesError {
    guard case .refused(let head) = state else {
      return KubernetesError(.badAnswer, "exec: an answer without a head")
    }
    if head.status.isSuccess {
      return KubernetesError(.badAnswer, "exec: the server did not switch to a WebSocket")
    }
    return StatusAnswer.error(
      status: head.status, headers: head.headers, body: refusal, hidesMessage: false)
  }

  private func readMessages(_ bytes: [UInt8]) throws(KubernetesError) {
    decoder.receive(bytes.span)
    while let message = try nextMessage() {
      switch message {
      case .binary(let data): try outcome.take(data)
      case .text(let text): try outcome.take(Array(text.utf8))
      case .ping(let data):
        _ = encoder.write(.pong(data), into: &output)
        connection?.setNeedsFlush()
      case .pong: break
      case .close(let code, _):
        return finish(.success(outcome), "the server closed with code \(code ?? 1005)")
      }
    }
  }

  private func nextMessage() throws(KubernetesError) -> WebSocketMessage? {
    do {
      return try decoder.next()
    } catch {
      throw KubernetesError(.badAnswer, "exec: \(error)")
    }
  }
}
