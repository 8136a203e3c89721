import Cryptography
import Observability
import Transcoding

/// The streams being sent. Each holds a handler for as long as its client wishes, so that a caller has
/// a bounded number of them; and they are what a process that ends would wait for.
final class OpenStreams {
  private let perPrincipalMax: Int
  private let metrics: EdgeMetrics
  private var counts: [String: Int] = [:]
  private var streams: [ObjectIdentifier: MessageStream] = [:]
  private var isEnding = false

  init(perPrincipalMax: Int, _ metrics: EdgeMetrics) {
    self.perPrincipalMax = perPrincipalMax
    self.metrics = metrics
  }

  /// Opens a stream with `open` and sends it with `send`, counted meanwhile for the caller.
  func serve(
    _ exchange: EdgeExchange, _ open: () async throws -> MessageStream,
    _ send: (MessageStream) async throws -> Void
  ) async throws {
    let subject = exchange.caller?.principal.subject ?? ""
    let count = counts[subject, default: 0]
    guard count < perPrincipalMax else { throw tooMany(exchange) }
    counts[subject] = count + 1
    metrics.streams.add(1)
    defer {
      metrics.streams.add(-1)
      let left = counts[subject, default: 1] - 1
      counts[subject] = left > 0 ? left : nil
    }
    let stream = try await open()
    streams[ObjectIdentifier(stream)] = stream
    defer { streams[ObjectIdentifier(stream)] = nil }
    if isEnding { stream.end() }
    try await send(stream)
  }

  /// Ends all streams, and those that are opened from now on; their clients are told to come back.
  func endAll() {
    isEnding = true
    for stream in streams.values { stream.end() }
  }

  private func tooMany(_ exchange: EdgeExchange) -> Refusal {
    let policy = "streams"
    metrics.rateLimited(by: policy)
    var refusal = Refusal.quotaExceeded(
      "\(perPrincipalMax) streams are open for this user, which is the most "
        + "(streamsPerPrincipal); close one",
      reason: "TOO_MANY_STREAMS", retryAfterSeconds: 1, exchange)
    refusal.problem.metadata = ["policy": policy]
    return refusal
  }
}
