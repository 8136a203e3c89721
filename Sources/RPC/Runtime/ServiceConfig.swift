package import RPCCore

/// How a channel chooses between the addresses of its name.
package enum LoadBalancing: Sendable {
  /// The first address that can be reached, for as long as it can be.
  case pickFirst
  /// All of them in turn.
  case roundRobin
}

/// When a call that failed is made again (gRFC A6). Only calls of which no response has begun are.
package struct RetryPolicy: Sendable {
  /// More attempts than this are never made, whatever a policy says.
  package static let attemptsMax = 5

  /// The first attempt included.
  package var attempts: Int
  /// The codes worth another attempt; only those after which nothing can have been done twice.
  package var codes: Set<StatusCode>
  /// The delay before the second attempt; `multiplier` times longer with each, up to `backoffMax`,
  /// ±20 %.
  package var backoff: Duration
  package var backoffMax: Duration
  package var multiplier: Double

  package init(
    attempts: Int = 3, codes: Set<StatusCode> = [.unavailable],
    backoff: Duration = .milliseconds(50), backoffMax: Duration = .seconds(1),
    multiplier: Double = 2
  ) {
    self.attempts = min(attempts, RetryPolicy.attemptsMax)
    self.codes = codes
    self.backoff = backoff
    self.backoffMax = backoffMax
    self.multiplier = multiplier
  }

  /// How long to wait after the given number of attempts.
  func delay(after attempts: Int) -> Duration {
    var delay = backoff
    for _ in 1..<max(attempts, 1) where delay < backoffMax { delay = delay * multiplier }
    return min(delay, backoffMax) * Double.random(in: 0.8...1.2)
  }
}

/// When a call is made several times at once, and the first answer taken (gRFC A6): for methods that
/// may be carried out more than once.
package struct HedgingPolicy: Sendable {
  /// The first attempt included; never over `RetryPolicy.attemptsMax`.
  package var attempts: Int
  /// Between one attempt and the next, while none has answered.
  package var delay: Duration
  /// The codes after which the other attempts go on, and the next is made at once. Any other ends the
  /// call.
  package var codes: Set<StatusCode>

  package init(attempts: Int, delay: Duration = .zero, codes: Set<StatusCode> = []) {
    self.attempts = min(attempts, RetryPolicy.attemptsMax)
    self.delay = delay
    self.codes = codes
  }
}

/// Stops the retries and hedges of a whole channel while most of its calls fail, which they would only
/// make worse.
package struct RetryThrottling: Sendable {
  /// The bucket's size. Each failure takes a token; retries stop at half of it.
  package var tokensMax: Double
  /// What a success gives back.
  package var tokenRatio: Double

  package init(tokensMax: Double = 10, tokenRatio: Double = 0.1) {
    self.tokensMax = tokensMax
    self.tokenRatio = tokenRatio
  }
}

/// What a channel does for the calls of each method.
package struct ServiceConfig: Sendable {
  package struct Method: Sendable {
    /// The longest a call may take; a caller may ask for less.
    package var timeout: Duration?
    /// Where the caller does not say.
    package var waitForReady: Bool?
    package var retry: RetryPolicy?
    /// Instead of `retry`.
    package var hedging: HedgingPolicy?
    /// The longest messages, where that is less than what the channel allows.
    package var requestBytesMax: Int?
    package var responseBytesMax: Int?

    package init(
      timeout: Duration? = nil, waitForReady: Bool? = nil, retry: RetryPolicy? = nil
    ) {
      self.timeout = timeout
      self.waitForReady = waitForReady
      self.retry = retry
    }
  }

  /// For methods that have no entry of their own, nor their service.
  package var defaults = Method()
  /// By the service's full name.
  package var services: [String: Method] = [:]
  /// By the method's path.
  package var methods: [String: Method] = [:]
  package var throttling: RetryThrottling?
  package var loadBalancing = LoadBalancing.pickFirst
  /// With `roundRobin`: calls go only to servers that say of this service that it is serving (gRFC
  /// A17); empty for the server as a whole. Nobody is asked when nil.
  package var healthCheckService: String?

  package init() {}

  func method(_ descriptor: MethodDescriptor) -> Method {
    if methods.isEmpty, services.isEmpty { return defaults }
    return methods[descriptor.path] ?? services[descriptor.service] ?? defaults
  }
}

/// The bucket of `RetryThrottling`, one a channel.
struct RetryTokens {
  private let throttling: RetryThrottling?
  private var tokens: Double

  init(_ throttling: RetryThrottling?) {
    self.throttling = throttling
    tokens = throttling?.tokensMax ?? 0
  }

  var allowRetries: Bool {
    guard let throttling else { return true }
    return tokens > throttling.tokensMax / 2
  }

  mutating func succeeded() {
    guard let throttling else { return }
    tokens = min(tokens + throttling.tokenRatio, throttling.tokensMax)
  }

  mutating func failed() { tokens = max(tokens - 1, 0) }
}
