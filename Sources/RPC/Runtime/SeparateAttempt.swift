import HTTP2
import RPCCore

/// An attempt beside its call: each of a hedged one, and of any other those after the first.
final class SeparateAttempt: HTTP2Stream {
  /// How many the policy has asked for before, which the server is told of.
  let number: Int
  /// Nil when the attempt is over for its call, which may be before its stream is.
  private(set) var call: ClientCall?
  /// Held until the stream is closed.
  var connection: ClientConnection?
  /// Of one that its call has left: the channel may go first, which its connections do not outlive.
  private weak var formerConnection: ClientConnection?
  private var repetitions: Repetitions

  init(of call: ClientCall, number: Int = 0, _ repetitions: Repetitions = Repetitions()) {
    self.call = call
    self.number = number
    self.repetitions = repetitions
  }

  /// The same attempt once more, where that is allowed whatever the call's policy says.
  func again(after fate: Attempts.Fate) -> SeparateAttempt? {
    guard let call, repetitions.allow(fate) else { return nil }
    return SeparateAttempt(of: call, number: number, repetitions)
  }

  /// The call does without it.
  func leave() {
    call = nil
    formerConnection = connection.take()
  }

  /// The same for one that goes on: its server is told to stop.
  func abandon() {
    leave()
    reset(.cancel)
  }

  // MARK: HTTP2Stream

  override func receivedHeaders(endsStream: Bool) {
    guard let head = (connection ?? formerConnection)?.takeHead(), let call else { return }
    guard let hedging = call.hedging else {
      return call.received(head, on: self, endsStream: endsStream)
    }
    guard let outcome = head.outcome else { return hedging.began(self, head) }
    call.concluded(head, self, endsStream: endsStream)
    hedging.ended(self, outcome, .answered, pushback: head.pushback)
  }

  override func received(_ bytes: UnsafeRawBufferPointer) {
    guard let call, call.hedging == nil else { return consume(bytes.count) }
    call.receivedBody(bytes)
  }

  override func receivedEnd() {
    if let call, call.hedging == nil { call.receivedNoStatus() }
  }

  override func outputDrained() { call?.drained() }

  override func closed(_ code: HTTP2ErrorCode) {
    (connection.take() ?? formerConnection)?.streamClosed()
    guard let call else { return }
    guard let hedging = call.hedging else { return call.attemptClosed(code, hadBegun: hasBegun) }
    let (error, fate) = call.failure(code, hadBegun: hasBegun)
    hedging.ended(self, .failure(error), fate)
  }
}
