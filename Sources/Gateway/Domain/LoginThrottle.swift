package import Resilience

/// Slows down who guesses passwords: failed logins are counted for each username and for each address.
///
/// An attempt counts as failed until it has ended, so that many at once are not more than one after
/// another. Names that nobody has are counted like the others, and so tell nothing.
package struct LoginThrottle {
  package static let username = RateLimitPolicy("login-username", limit: 10, per: .seconds(600))
  package static let address = RateLimitPolicy("login-address", limit: 50, per: .seconds(600))

  package var byUsername: RateLimiter
  package var byAddress: RateLimiter
  private var attempts: [String: Int64] = [:]

  package init(
    username: RateLimitPolicy = LoginThrottle.username,
    address: RateLimitPolicy = LoginThrottle.address
  ) {
    byUsername = RateLimiter(username)
    byAddress = RateLimiter(address)
  }

  /// Lets an attempt begin, or says how long to wait.
  /// - Returns: nil when it may begin; it is then ended by `end`.
  package mutating func begin(
    username: String, address: String, at now: MonotonicInstant
  ) -> Duration? {
    let names = byUsername.state(of: username, at: now)
    let addresses = byAddress.state(of: address, at: now)
    let namesTaken = attempts["u:" + username] ?? 0
    let addressesTaken = attempts["a:" + address] ?? 0
    if names.remaining <= namesTaken {
      return max(names.resetAfter, .seconds(1))
    }
    if addresses.remaining <= addressesTaken {
      return max(addresses.resetAfter, .seconds(1))
    }
    attempts["u:" + username] = namesTaken + 1
    attempts["a:" + address] = addressesTaken + 1
    return nil
  }

  package mutating func end(
    username: String, address: String, failed: Bool, at now: MonotonicInstant
  ) {
    finish("u:" + username)
    finish("a:" + address)
    guard failed else { return }
    _ = byUsername.take(username, at: now)
    _ = byAddress.take(address, at: now)
  }

  private mutating func finish(_ key: String) {
    let left = (attempts[key] ?? 1) - 1
    attempts[key] = left > 0 ? left : nil
  }
}
