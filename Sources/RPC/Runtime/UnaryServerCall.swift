import HTTP2
import Observability
import RPCCore

/// A call of one request and one response.
///
/// Its messages' types are in the closures alone: a generic class would look their metadata up at every
/// use of a stored message.
final class UnaryServerCall: ServerCall {
  private let decode: RequestDecoder
  private var handler: Handler?
  private var hasRequest = false
  private var wasCompressed = false
  private var messageBytes = 0

  override var waitingBytes: Int { messageBytes }

  init(
    _ method: borrowing ServerMethod, _ connection: borrowing ServerConnection,
    decode: @escaping RequestDecoder
  ) {
    self.decode = decode
    super.init(method, connection)
  }

  package override func received(_ bytes: UnsafeRawBufferPointer) {
    super.received(bytes)
    consume(bytes.count)
  }

  override var requestWasCompressed: Bool { wasCompressed }

  override func received(
    message: UnsafeRawBufferPointer, wasCompressed: Bool
  ) throws(RPCError) {
    if hasRequest {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) takes one request message, more came")
    }
    hasRequest = true
    handler = try decode(message, &messageBytes)
    self.wasCompressed = wasCompressed
  }

  override func receivedEndOfRequest() throws(RPCError) {
    if isFinished { return }
    if !hasRequest {
      throw RPCError(
        .unimplemented, "\(method.descriptor.path) takes one request message, none came")
    }
    run()
  }

  /// It has the request, which is not counted any more or never was: it must not stay until the client has
  /// taken the status.
  override func failed(_ error: RPCError) { handler = nil }

  override func takeHandler() -> Handler? { handler.take() }

  override func respond(_ message: consuming [UInt8]) throws(RPCError) {
    if isFinished { return }
    messageBytes = message.count
    try holdBytes()
    sendHeaders()
    sentBytes += messageBytes
    send(message)
  }
}
