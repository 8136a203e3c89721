import HTTP2
import RPCCore
import Reactor

/// The stream on which a server tells how it is (gRFC A17), one on each connection. No call: neither
/// interceptors nor the service config's policies apply to it, and it has no deadline.
final class HealthWatch {
  private static let path = "/grpc.health.v1.Health/Watch"

  private let service: String
  private weak var connection: ClientConnection?
  private(set) var health = ServerHealth.unknown

  private var stream: HealthStream?
  private var deframer = MessageDeframer(messageBytesMax: HealthMessages.responseBytesMax)
  private var begun = Instant(nanoseconds: 0)
  /// Streams in a row that ended without a word.
  private var failures = 0
  private var timer: LoopTimer?

  init(of service: String, on connection: ClientConnection) {
    self.service = service
    self.connection = connection
  }

  func begin() {
    guard let connection else { return }
    begun = connection.channel.loop.now
    deframer = MessageDeframer(messageBytesMax: HealthMessages.responseBytesMax)
    let stream = HealthStream(of: self, on: connection)
    do {
      try connection.open(stream, fields(connection.channel.configuration))
    } catch {
      return ended(RPCError(.unavailable, "cannot open a stream: \(error)"))
    }
    self.stream = stream
    stream.send(HealthMessages.request(service))
    stream.end()
  }

  /// Asks no more.
  func end() {
    if let timer = timer.take() { connection?.channel.loop.cancel(timer) }
    leaveStream(resetting: true)
  }

  private func fields(_ configuration: ChannelConfiguration) -> HeaderFields {
    var fields = HeaderFields()
    fields.append(":method", "POST")
    fields.append(":scheme", configuration.tls == nil ? "http" : "https")
    fields.append(":path", HealthWatch.path)
    fields.append(":authority", configuration.authority)
    fields.append("te", "trailers")
    fields.append("content-type", "application/grpc")
    return fields
  }

  private func set(_ health: ServerHealth) {
    if health == self.health { return }
    self.health = health
    connection?.healthChanged(health)
  }

  /// A server without the service is taken as healthy. Any other is asked again: not sooner than the
  /// channel's backoff after the last time, which is at once when that was long ago.
  private func ended(_ error: RPCError) {
    guard let connection else { return }
    if error.code == .unimplemented { return set(.notTold) }
    let loop = connection.channel.loop
    let next = begun + connection.channel.configuration.delay(afterFailures: failures)
    failures += 1
    set(next <= loop.now ? .unknown : .notServing(reason: "its health check ended: \(error)"))
    timer = loop.schedule(at: max(next, loop.now)) { [weak self] in
      self?.timer = nil
      self?.begin()
    }
  }

  private func leaveStream(resetting: Bool) {
    guard let stream = stream.take() else { return }
    stream.watch = nil
    if resetting { stream.reset(.cancel) }
  }

  // MARK: For its stream

  fileprivate func received(_ head: ResponseHead, endsStream: Bool) {
    guard !head.isInformational, let outcome = head.outcome else { return }
    leaveStream(resetting: !endsStream)
    switch outcome {
    case .success: ended(RPCError(.ok, "the server says no more"))
    case .failure(let error): ended(error)
    }
  }

  fileprivate func received(_ bytes: UnsafeRawBufferPointer) {
    do throws(RPCError) {
      try deframer.feed(bytes) { message, _ throws(RPCError) in
        let health = try HealthMessages.health(message, of: self.service)
        self.failures = 0
        self.set(health)
      }
      stream?.consume(bytes.count)
    } catch {
      leaveStream(resetting: true)
      ended(error)
    }
  }

  fileprivate func receivedEnd() {
    leaveStream(resetting: true)
    ended(RPCError(.unknown, "no status came"))
  }

  fileprivate func closed(_ code: HTTP2ErrorCode) {
    stream = nil
    ended(RPCError(StatusCode(http2ErrorCode: code.rawValue), "the stream was reset"))
  }
}

private final class HealthStream: HTTP2Stream {
  /// Nil once the watch has done with this stream.
  var watch: HealthWatch?
  private weak var connection: ClientConnection?

  init(of watch: HealthWatch, on connection: ClientConnection) {
    self.watch = watch
    self.connection = connection
  }

  override func receivedHeaders(endsStream: Bool) {
    if let head = connection?.head { watch?.received(head, endsStream: endsStream) }
  }

  override func received(_ bytes: UnsafeRawBufferPointer) { watch?.received(bytes) }
  override func receivedEnd() { watch?.receivedEnd() }

  override func closed(_ code: HTTP2ErrorCode) {
    let watch = watch.take()
    // What follows the loss of a connection begins when it has ended.
    if code == .connectionLost { return }
    connection?.streamClosed()
    watch?.closed(code)
  }
}
