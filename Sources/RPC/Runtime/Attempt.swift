import HTTP2
import RPCCore

/// One attempt of a call: its stream.
final class Attempt: HTTP2Stream {
  /// How many the policy has asked for before, which the server is told of.
  let number: Int
  /// Nil when the attempt is over for its call, which may be before its stream is.
  private(set) var call: ClientCall?
  /// Held until the stream is closed; once the call has left it that alone does not keep it.
  var connection: ClientConnection?
  private weak var leftConnection: ClientConnection?
  private var repetitions: Repetitions

  init(of call: ClientCall, number: Int = 0, _ repetitions: Repetitions = Repetitions()) {
    self.call = call
    self.number = number
    self.repetitions = repetitions
  }

  /// The same attempt once more, where that is allowed whatever the call's policy says.
  func again(after fate: Attempts.Fate) -> Attempt? {
    guard let call, repetitions.allow(fate) else { return nil }
    return Attempt(of: call, number: number, repetitions)
  }

  /// The call does without it.
  func leave() {
    call = nil
    leftConnection = connection
    connection = nil
  }

  /// The same for one that goes on: its server is told to stop.
  func abandon() {
    leave()
    reset(.cancel)
  }

  // MARK: HTTP2Stream

  override func receivedHeaders(endsStream: Bool) {
    guard let connection = connection ?? leftConnection else { return }
    connection.hasAnswered = true
    let head = connection.head
    guard let call, !head.isInformational else { return }
    guard let hedging = call.hedging else {
      return call.received(head, on: self, endsStream: endsStream)
    }
    guard let outcome = head.outcome else { return hedging.began(self, head) }
    call.concluded(head, self, endsStream: endsStream)
    hedging.ended(self, outcome, .answered, pushback: head.pushback)
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    guard let call, call.hedging == nil else { return consume(bytes.count) }
    call.received(bytes)
  }

  override func receivedEnd() {
    if let call, call.hedging == nil { call.receivedEnd() }
  }

  override func outputDrained() { call?.drained() }

  override func closed(_ code: HTTP2ErrorCode) {
    (connection.take() ?? leftConnection)?.streamClosed()
    guard let call else { return }
    guard let hedging = call.hedging else { return call.closed(code, hadBegun: hasBegun) }
    let (error, fate) = call.failure(code, hadBegun: hasBegun)
    hedging.ended(self, .failure(error), fate)
  }
}
