import Logging
import Reactor
import Resilience

/// The rate limits of this replica, and their settling with the others in the background.
final class RateLimits {
  private enum Kind: CaseIterable { case address, principal, loginUsername, loginAddress }

  /// Shared buckets are forgotten when nobody has spent of them for so long: they are full by then.
  private static let bucketAge: Duration = .seconds(3600)
  private static let purgedMax = 1000
  /// Settlements between two purges.
  private static let settlementsPerPurge = 60

  private var address: RateLimiter
  private var principal: RateLimiter
  private var logins: LoginThrottle
  private let store: RateBucketStore
  private let time: any TimeSource
  private let interval: Duration
  private let databaseTimeout: Duration
  private let logger: Logger
  private let reactor: Reactor
  private var timer: LoopTimer?
  private var isStopped = false
  private var settlements = 0
  private var isFailing = false

  init(
    _ limits: GatewayLimits, store: RateBucketStore, time: any TimeSource, logger: Logger,
    on reactor: Reactor
  ) {
    address = RateLimiter(limits.address)
    principal = RateLimiter(limits.principal)
    logins = LoginThrottle(username: limits.loginUsername, address: limits.loginAddress)
    self.store = store
    self.time = time
    interval = limits.settleInterval
    databaseTimeout = limits.databaseTimeout
    self.logger = logger
    self.reactor = reactor
  }

  // MARK: Taking

  func take(address key: String) -> RateLimitOutcome {
    RateLimitOutcome(address.policy, address.take(key, at: time.now))
  }

  func take(principal key: String) -> RateLimitOutcome {
    RateLimitOutcome(principal.policy, principal.take(key, at: time.now))
  }

  /// Nil when the login may be tried, else how long to wait.
  func beginLogin(username: String, address: String) -> Duration? {
    logins.begin(username: username, address: address, at: time.now)
  }

  func endLogin(username: String, address: String, failed: Bool) {
    logins.end(username: username, address: address, failed: failed, at: time.now)
  }

  // MARK: Settling

  /// Settles at every interval until `stop`.
  func start() {
    if isStopped { return }
    timer = reactor.loop.schedule(after: interval) { [weak self] in
      guard let self else { return }
      reactor.loop.spawn(on: reactor) {
        await self.settle()
        self.start()
      }
    }
  }

  /// Settles for the last time.
  func stop() async {
    isStopped = true
    if let timer { reactor.loop.cancel(timer) }
    timer = nil
    await settle()
  }

  func settle() async {
    do {
      for kind in Kind.allCases { try await settle(kind) }
      settlements += 1
      if settlements % Self.settlementsPerPurge == 0 {
        _ = try await store.purge(
          olderThan: Self.bucketAge, count: Self.purgedMax, deadline: .now() + databaseTimeout)
      }
      if isFailing { logger.notice("rate limits are shared between replicas again") }
      isFailing = false
    } catch {
      if !isFailing {
        logger.warning(
          "rate limits hold for each replica by itself, as they cannot be settled",
          metadata: ["cause": "\(error)"])
      }
      isFailing = true
    }
  }

  private func settle(_ kind: Kind) async throws {
    let spent = change(kind) { $0.beginSettling() }
    if spent.isEmpty { return }
    let policy = change(kind) { $0.policy }
    do {
      let credits = try await store.settle(policy, spent, deadline: .now() + databaseTimeout)
      for (key, credit) in credits {
        change(kind) { $0.settled(key, credit: credit, at: time.now) }
      }
    } catch {
      change(kind) { $0.notSettled(spent.map(\.key)) }
      throw error
    }
  }

  private func change<R>(_ kind: Kind, _ body: (inout RateLimiter) -> R) -> R {
    switch kind {
    case .address: body(&address)
    case .principal: body(&principal)
    case .loginUsername: body(&logins.byUsername)
    case .loginAddress: body(&logins.byAddress)
    }
  }
}

/// What a limit said to a request, as the RateLimit fields tell it
/// (draft-ietf-httpapi-ratelimit-headers).
struct RateLimitOutcome {
  let policy: RateLimitPolicy
  let remaining: Int64
  /// Until the bucket is full, or, where the request was refused, until there is a token.
  let resetSeconds: Int64
  let isAllowed: Bool

  init(_ policy: RateLimitPolicy, _ decision: TokenBucket.Decision) {
    self.policy = policy
    remaining = decision.remaining
    switch decision.verdict {
    case .allowed:
      isAllowed = true
      resetSeconds = decision.resetAfter.wholeSecondsUp
    case .denied(let wait):
      isAllowed = false
      resetSeconds = max(1, wait.wholeSecondsUp)
    case .impossible:
      isAllowed = false
      resetSeconds = policy.windowSeconds
    }
  }

  /// `RateLimit-Policy`.
  var policyField: String { "\"\(policy.name)\";q=\(policy.limit);w=\(policy.windowSeconds)" }

  /// `RateLimit`.
  var field: String { "\"\(policy.name)\";r=\(remaining);t=\(resetSeconds)" }
}
