import RPCCore

/// Messages on their way from the wire to one reader.
///
/// Its length is bounded by the peer's flow-control window, which opens again only as messages are
/// taken: `taken` is called with the queue's length after each.
final class MessageQueue<Message: Sendable> {
  private var messages: [Message] = []
  private var head = 0
  private var ending: Result<Void, RPCError>?
  private var waiter: UnsafeContinuation<Message?, any Error>?

  var taken: ((Int) -> Void)?

  var isEmpty: Bool { head == messages.count }

  func push(_ message: Message) {
    if let waiter = waiter.take() {
      waiter.resume(returning: message)
      taken?(0)
    } else {
      messages.append(message)
    }
  }

  /// Ends the stream, once: what is queued is still read, unless it ends with an error.
  func finish(_ result: Result<Void, RPCError>) {
    if ending != nil { return }
    ending = result
    if case .failure = result { messages = [] }
    guard let waiter = waiter.take() else { return }
    switch result {
    case .success: waiter.resume(returning: nil)
    case .failure(let error): waiter.resume(throwing: error)
    }
  }

  /// The next message, nil at the end. One reader at a time.
  func next() async throws -> Message? {
    if head < messages.count {
      let message = messages[head]
      head += 1
      if head == messages.count {
        messages.removeAll(keepingCapacity: true)
        head = 0
      }
      taken?(messages.count - head)
      return message
    }
    switch ending {
    case .success: return nil
    case .failure(let error): throw error
    case nil:
      precondition(waiter == nil, "a stream of messages has one reader at a time")
      return try await withUnsafeThrowingContinuation { waiter = $0 }
    }
  }
}

extension Optional {
  /// The value, leaving nil behind.
  mutating func take() -> Wrapped? {
    defer { self = nil }
    return self
  }
}
