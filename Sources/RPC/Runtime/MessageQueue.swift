import RPCCore
import Reactor

/// Messages on their way from the wire to one reader.
///
/// Its length is bounded by the peer's flow-control window, which opens again only as messages are
/// taken: `taken` is called with the queue's length after each.
final class MessageQueue<Message: Sendable> {
  private var messages: [(content: Message, wasCompressed: Bool)] = []
  private var head = 0
  /// What the messages take in memory, of which the window says little: they may have been compressed,
  /// or be larger than they were on the wire. Those that were taken count until the queue is empty.
  private(set) var memoryBytes = 0
  /// The largest queue whose memory is kept when it is empty, for the messages to come.
  private static var messagesKeptFor: Int { 64 }
  private var ending: Result<Void, RPCError>?
  private var waiter: Resumption<Result<Message?, any Error>>?
  /// Tells a reader from those before it.
  private var waits = 0

  var taken: ((Int) -> Void)?

  /// Whether the message that was taken last came compressed.
  private(set) var lastWasCompressed = false

  var isEmpty: Bool { head == messages.count }

  func push(_ message: Message, memoryBytes: Int, wasCompressed: Bool = false) {
    if let waiter = waiter.take() {
      lastWasCompressed = wasCompressed
      waiter.resume(.success(message))
      taken?(0)
    } else {
      messages.append((message, wasCompressed))
      self.memoryBytes += memoryBytes
    }
  }

  /// Ends the stream, once: what is queued is still read, unless it ends with an error.
  func finish(_ result: Result<Void, RPCError>) {
    if ending != nil { return }
    ending = result
    if case .failure = result {
      messages = []
      head = 0
      memoryBytes = 0
    }
    guard let waiter = waiter.take() else { return }
    switch result {
    case .success: waiter.resume(.success(nil))
    case .failure(let error): waiter.resume(.failure(error))
    }
  }

  /// The next message, nil at the end. One reader at a time. Throws a `CancellationError` when its task is
  /// cancelled while it waits; the message is then for the next reader.
  func next(on reactor: Reactor) async throws -> Message? {
    if let settled { return try settle(settled) }
    precondition(waiter == nil, "a stream of messages has one reader at a time")
    waits += 1
    let wait = waits
    return try await suspended(on: reactor, onCancel: { self.cancel(wait) }) { resumption in
      // The task may have come here by way of the loop's queue, and a message before it.
      if let settled = self.settled {
        resumption.resume(Result { try self.settle(settled) })
      } else {
        self.waiter = resumption
      }
    }.get()
  }

  private func cancel(_ wait: Int) {
    if wait == waits { waiter.take()?.resume(.failure(CancellationError())) }
  }

  private enum Settled {
    case message, end
    case failure(RPCError)
  }

  /// What `next` can answer at once, nil where it must wait.
  private var settled: Settled? {
    if !isEmpty { return .message }
    switch ending {
    case .success: return .end
    case .failure(let error): return .failure(error)
    case nil: return nil
    }
  }

  private func settle(_ settled: Settled) throws -> Message? {
    switch settled {
    case .end: return nil
    case .failure(let error): throw error
    case .message:
      let message = messages[head]
      head += 1
      lastWasCompressed = message.wasCompressed
      if head == messages.count {
        messages.removeAll(keepingCapacity: messages.count <= MessageQueue.messagesKeptFor)
        head = 0
        memoryBytes = 0
      }
      taken?(messages.count - head)
      return message.content
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
