import Cryptography
import HTTP
import Reactor
import Transcoding

/// One of the things that happen to every request before it is answered. The gateway has a list of
/// them, in their order; each lets the request pass or throws why not.
protocol EdgeStep: AnyObject {
  func admit(_ exchange: EdgeExchange) throws
}

/// Finds what a request leads to.
final class RoutingStep: EdgeStep {
  private let routes: RouteTable

  init(_ routes: RouteTable) { self.routes = routes }

  func admit(_ exchange: EdgeExchange) throws {
    exchange.destination = try routes.destination(of: exchange)
  }
}

/// Bounds the requests from one address, before anything that costs more is done for them.
final class AddressLimitStep: EdgeStep {
  private let limits: RateLimits
  private let metrics: EdgeMetrics

  init(_ limits: RateLimits, _ metrics: EdgeMetrics) {
    self.limits = limits
    self.metrics = metrics
  }

  func admit(_ exchange: EdgeExchange) throws {
    let outcome = limits.take(address: exchange.client.key)
    try outcome.apply(to: exchange, "from this address", metrics)
  }
}

/// Bounds the requests of one who signed in.
final class PrincipalLimitStep: EdgeStep {
  private let limits: RateLimits
  private let metrics: EdgeMetrics

  init(_ limits: RateLimits, _ metrics: EdgeMetrics) {
    self.limits = limits
    self.metrics = metrics
  }

  func admit(_ exchange: EdgeExchange) throws {
    guard let caller = exchange.caller else { return }
    let outcome = limits.take(principal: caller.principal.subject)
    try outcome.apply(to: exchange, "by this user", metrics)
  }
}

extension RateLimitOutcome {
  /// Tells the client of the limit, and refuses the request where it is reached.
  fileprivate func apply(
    to exchange: EdgeExchange, _ whose: String, _ metrics: EdgeMetrics
  ) throws {
    // Each limit replaces what the one before said: the last is the one that a client runs into.
    exchange.fields["ratelimit-policy"] = policyField
    exchange.fields["ratelimit"] = field
    guard !isAllowed else { return }
    metrics.rateLimited(by: policy.name)
    var refusal = Refusal.quotaExceeded(
      "more than \(policy.limit) requests in \(policy.windowSeconds) s \(whose); wait "
        + "\(resetSeconds) s",
      reason: "RATE_LIMITED", retryAfterSeconds: resetSeconds, exchange)
    refusal.problem.metadata = ["policy": policy.name]
    throw refusal
  }
}

/// Takes the caller from the access token, where what is asked for needs one.
final class AuthenticationStep: EdgeStep {
  private let authenticator: Authenticator

  init(_ authenticator: Authenticator) { self.authenticator = authenticator }

  func admit(_ exchange: EdgeExchange) throws {
    guard case .method(_, let backend) = exchange.destination, backend.needsCaller else { return }
    do throws(AuthenticationFailure) {
      exchange.caller = try authenticator.authenticate(exchange.request.head.headers)
    } catch {
      var refusal = Refusal(.unauthorized, code: 16, error.description, exchange)
      refusal.fields["www-authenticate"] = error.challenge
      throw refusal
    }
  }
}

/// Takes the client's own deadline from `X-Request-Timeout`, in seconds.
final class DeadlineStep: EdgeStep {
  private static let field = "x-request-timeout"
  private let timeoutMax: Duration

  init(timeoutMax: Duration) { self.timeoutMax = timeoutMax }

  func admit(_ exchange: EdgeExchange) throws {
    guard let text = exchange.request.head.headers[Self.field] else { return }
    guard text.utf8.count <= 16, let seconds = Double(text), seconds > 0, seconds.isFinite else {
      throw Refusal(
        .badRequest, code: 3, "X-Request-Timeout is not a number of seconds above 0, such as 2.5",
        exchange)
    }
    let wanted = Duration.seconds(min(seconds, timeoutMax.wholeSeconds))
    exchange.deadline = exchange.request.receivedAt + wanted
  }
}

extension Duration {
  fileprivate var wholeSeconds: Double { Double(components.seconds) }
}
