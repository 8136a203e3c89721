import Reactor

/// What stands behind a body queue: the connection or stream that its bytes come from.
protocol HTTPBodySource: AnyObject {
  /// The reader begins to wait: time to ask for the body, where that is needed.
  func bodyAwaited()
  /// The reader has taken `count` bytes.
  func bodyTaken(_ count: Int)
}

/// A body on its way from the wire to one reader.
///
/// Its length is bounded by its source, which reads on only as bytes are taken.
final class HTTPBodyQueue {
  private var chunks: [[UInt8]] = []
  private var head = 0
  private var ending: Result<HTTPHeaders, any Error>?
  private var waiter: UnsafeContinuation<[UInt8]?, any Error>?
  private var timer: LoopTimer?
  private let loop: EventLoop
  private let idleTimeout: Duration
  private let idleError: any Error

  private(set) var queuedBytes = 0
  weak var source: (any HTTPBodySource)?

  /// - Parameters:
  ///   - idleTimeout: the longest that the reader waits at a time.
  ///   - idleError: what it then learns.
  init(_ loop: EventLoop, idleTimeout: Duration, idleError: any Error) {
    self.loop = loop
    self.idleTimeout = idleTimeout
    self.idleError = idleError
  }

  var isFinished: Bool { ending != nil }

  /// Empty until the body has been read to its end.
  var trailers: HTTPHeaders {
    if case .success(let trailers) = ending, head == chunks.count { return trailers }
    return HTTPHeaders()
  }

  func push(_ chunk: [UInt8]) {
    if ending != nil || chunk.isEmpty { return }
    guard let waiter = takeWaiter() else {
      queuedBytes += chunk.count
      chunks.append(chunk)
      return
    }
    waiter.resume(returning: chunk)
    source?.bodyTaken(chunk.count)
  }

  /// Ends the body, once. What is queued is still read, unless it ends with an error.
  func finish(_ result: Result<HTTPHeaders, any Error>) {
    if ending != nil { return }
    ending = result
    switch result {
    case .success: takeWaiter()?.resume(returning: nil)
    case .failure(let error):
      chunks = []
      head = 0
      queuedBytes = 0
      takeWaiter()?.resume(throwing: error)
    }
  }

  /// The next bytes, nil at the end. One reader at a time.
  /// - Parameter deadline: when the reader gives up, however little it has waited.
  func next(by deadline: Instant = .distantFuture) async throws -> [UInt8]? {
    if let known = takeKnown() { return try known.get() }
    precondition(waiter == nil, "a body has one reader at a time")
    source?.bodyAwaited()
    return try await withUnsafeThrowingContinuation { continuation in
      // The task may come here in a later turn: what has come meanwhile will not be told again.
      if let known = takeKnown() { return continuation.resume(with: known) }
      waiter = continuation
      timer = loop.schedule(at: min(deadline, Instant.now() + idleTimeout)) { [unowned self] in
        self.timer = nil
        self.finish(.failure(self.idleError))
      }
    }
  }

  /// What can be said without waiting.
  private func takeKnown() -> Result<[UInt8]?, any Error>? {
    if let chunk = takeChunk() {
      source?.bodyTaken(chunk.count)
      return .success(chunk)
    }
    return ending.map { ending in ending.map { _ in nil } }
  }

  /// The whole body; throws `tooLarge` as soon as it has more than `bytesMax` bytes.
  func collect(
    upTo bytesMax: Int, by deadline: Instant, tooLarge: any Error
  ) async throws -> [UInt8] {
    var body: [UInt8] = []
    while let chunk = try await next(by: deadline) {
      guard chunk.count <= bytesMax - body.count else { throw tooLarge }
      if body.isEmpty { body = chunk } else { body += chunk }
    }
    return body
  }

  private func takeChunk() -> [UInt8]? {
    if head == chunks.count { return nil }
    let chunk = chunks[head]
    chunks[head] = []
    head += 1
    queuedBytes -= chunk.count
    if head == chunks.count {
      chunks.removeAll(keepingCapacity: true)
      head = 0
    }
    return chunk
  }

  private func takeWaiter() -> UnsafeContinuation<[UInt8]?, any Error>? {
    defer { waiter = nil }
    if let timer { loop.cancel(timer) }
    timer = nil
    return waiter
  }
}
