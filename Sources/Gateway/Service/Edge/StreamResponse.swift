import HTTP
import RPCCore
import Reactor
import Transcoding

/// How the messages of a stream are told.
enum StreamFormat {
  /// `text/event-stream`: each message an event, errors as events named `error`.
  case events
  /// `application/x-ndjson`: each message a line, an error as `{"error": ...}` in the last one.
  case lines

  init(_ headers: HTTPHeaders) {
    let accepts = headers.values(of: "accept").contains {
      $0.lowercased().contains("text/event-stream")
    }
    self = accepts ? .events : .lines
  }

  var contentType: String {
    switch self {
    case .events: "text/event-stream"
    case .lines: "application/x-ndjson"
    }
  }
}

/// The response that carries a stream. It begins with the first message, or after a while without
/// one; until then an error has a status of its own. One writer writes at a time: the heart beats
/// only while the stream has nothing to say.
final class StreamResponse {
  private let response: HTTPResponseWriter
  private let format: StreamFormat
  private let exchange: EdgeExchange
  private let limits: GatewayLimits
  private let reactor: Reactor
  private var timer: LoopTimer?
  private var beat: Task<Void, Never>?
  private var isWriting = false
  private var isBeating = false
  private var sequence = 0

  init(
    _ response: HTTPResponseWriter, _ format: StreamFormat, _ exchange: EdgeExchange,
    _ limits: GatewayLimits, on reactor: Reactor
  ) {
    self.response = response
    self.format = format
    self.exchange = exchange
    self.limits = limits
    self.reactor = reactor
  }

  /// Sends all messages, and ends the response.
  func send(_ stream: MessageStream, of route: Route) async throws {
    schedule(after: limits.streamHeadDelay)
    defer { stop() }
    do {
      while let message = try await stream.next() {
        let document = try route.responseJSON(message)
        sequence += 1
        try await write(frame(document, name: nil))
      }
      try begin()
    } catch {
      guard response.hasStarted, !exchange.request.isAbandoned else { throw error }
      guard let problem = Self.problem(error, exchange, route) else { throw error }
      try await write(frame(problem.serialized(), name: "error"))
    }
    try response.end()
  }

  /// What a client is told of an error in the middle of a stream; nil for one of its own doing.
  private static func problem(
    _ error: any Error, _ exchange: EdgeExchange, _ route: Route
  ) -> Problem? {
    switch error {
    case let error as RPCError:
      Problem(
        code: error.code.rawValue, message: error.message, details: error.details,
        instance: exchange.requestID, fieldName: route.clientField)
    case let error as TranscodingError: Problem(error, instance: exchange.requestID)
    default: nil
    }
  }

  private func frame(_ document: [UInt8], name: String?) throws -> [UInt8] {
    var bytes: [UInt8] = []
    switch format {
    case .lines where name == nil: bytes = document + [UInt8(ascii: "\n")]
    case .lines: bytes = Array("{\"error\":".utf8) + document + Array("}\n".utf8)
    case .events:
      let event = ServerSentEvent(
        id: name == nil ? "\(sequence)" : nil, name: name,
        data: String(decoding: document, as: UTF8.self))
      try ServerSentEventEncoder.write(event, into: &bytes)
    }
    return bytes
  }

  private func begin() throws {
    if response.hasStarted { return }
    exchange.fields["content-type"] = format.contentType
    // A proxy must not gather events before it passes them on.
    exchange.fields["x-accel-buffering"] = "no"
    exchange.status = .ok
    try response.start(HTTPResponseHead(status: .ok, headers: exchange.fields))
  }

  private func write(_ bytes: [UInt8]) async throws {
    // A heart that beat meanwhile is waited for as well.
    while let beat { await beat.value }
    isWriting = true
    defer { isWriting = false }
    try begin()
    try await response.write(bytes)
    exchange.responseBytes += bytes.count
    schedule(after: limits.heartbeat)
  }

  // MARK: Heartbeat

  private func schedule(after delay: Duration) {
    if let timer { reactor.loop.cancel(timer) }
    timer = reactor.loop.schedule(after: delay) { [weak self] in
      guard let self else { return }
      timer = nil
      tick()
    }
  }

  private func stop() {
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
  }

  private func tick() {
    schedule(after: limits.heartbeat)
    if isWriting || isBeating || exchange.request.isAbandoned { return }
    guard response.hasStarted else {
      // A client that has gone meanwhile cancels the stream by itself.
      try? begin()
      return
    }
    guard format == .events else { return }
    isBeating = true
    let started = reactor.loop.spawn(on: reactor) {
      try? await self.response.write(ServerSentEventEncoder.heartbeat)
      self.isBeating = false
      self.beat = nil
    }
    // The task has begun, and ended where it did not have to wait for the client.
    if isBeating { beat = started }
  }
}
