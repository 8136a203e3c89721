import HTTP2
import RPCCore

/// The attempts of one call.
struct Attempts {
  /// What became of an attempt.
  enum Fate {
    /// The server may have acted on it.
    case answered
    /// The server has said that it did not: REFUSED_STREAM, or above the last stream of its GOAWAY.
    case refused
    /// The server cannot have heard of it.
    case unsent
  }

  /// Attempts made, of every kind.
  var made: UInt16 = 0
  /// Those that a policy asked for, which the server is told of.
  var retries: UInt16 = 0
  /// No further attempt may be made: the response has begun, or the request is no longer held.
  var areOver = false
  var repetitions = Repetitions()
}

/// How often an attempt was made again whatever the call's policy says, since nothing had been done yet.
struct Repetitions {
  /// Refused attempts are made again at once, but not for ever; nor are those that were never sent.
  static let refusedMax = 1
  static let unsentMax = 5

  private var refused: UInt8 = 0
  private var unsent: UInt8 = 0

  mutating func allow(_ fate: Attempts.Fate) -> Bool {
    switch fate {
    case .answered: return false
    case .refused:
      if refused == Repetitions.refusedMax { return false }
      refused += 1
      return true
    case .unsent:
      if unsent == Repetitions.unsentMax { return false }
      unsent += 1
      return true
    }
  }
}

/// The messages of a request, kept for a further attempt. Most calls have one.
struct ReplayBuffer {
  private(set) var first: [UInt8]?
  private(set) var rest: [[UInt8]] = []
  private(set) var bytes = 0
  var hasEnded = false

  mutating func append(_ message: [UInt8]) {
    bytes += message.count
    if first == nil { first = message } else { rest.append(message) }
  }

  mutating func removeAll() {
    first = nil
    rest = []
    bytes = 0
  }
}

extension RetryTokens {
  /// Counts the outcome of an attempt; a failure if its policy has further ones after `codes`.
  mutating func note(
    _ result: Result<Void, RPCError>, _ codes: Set<StatusCode>, _ pushback: Pushback?
  ) {
    switch result {
    case .success: succeeded()
    case .failure(let error):
      if codes.contains(error.code) || pushback == .never { failed() }
    }
  }
}
