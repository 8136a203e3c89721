/// What the gateway takes on, and how long it waits.
package struct GatewayLimits: Sendable {
  /// The longest request body. Past it: 413.
  package static let bodyBytesMax = 1 << 20

  /// Requests of one who signed in.
  package var principal = GatewayLimits.principal(perMinute: 600)
  /// Requests from one address, whoever makes them.
  package var address = GatewayLimits.address(perMinute: 3000)
  package var loginUsername = LoginThrottle.username
  package var loginAddress = LoginThrottle.address
  /// How often what was spent here is settled with the other replicas.
  package var settleInterval: Duration = .seconds(1)

  /// How long a request may take where the client names no time.
  package var requestTimeout: Duration = .seconds(30)
  /// The longest that a client may ask for.
  package var requestTimeoutMax: Duration = .seconds(120)
  /// Streams of one who signed in that are open at once. Past it: 429.
  package var streamsPerPrincipal = 32
  /// How long a stream lasts; clients come back and go on.
  package var streamTimeout: Duration = .seconds(3600)
  /// A stream that has nothing to say begins its response after so long.
  package var streamHeadDelay: Duration = .seconds(1)
  /// A silent event stream is kept alive by a comment this often.
  package var heartbeat: Duration = .seconds(15)
  /// The longest wait for the gateway's own database.
  package var databaseTimeout: Duration = .seconds(5)

  /// Verified access tokens that are remembered.
  package var rememberedTokens = 4096
  /// Passwords checked at once, each in 32 MiB of memory, and those that may wait.
  package var passwordChecks = 2
  package var passwordChecksWaiting = 64

  package init() {}

  package static func principal(perMinute limit: Int) -> RateLimitPolicy {
    RateLimitPolicy("principal", limit: Int64(limit), per: .seconds(60))
  }

  package static func address(perMinute limit: Int) -> RateLimitPolicy {
    RateLimitPolicy("address", limit: Int64(limit), per: .seconds(60))
  }
}
