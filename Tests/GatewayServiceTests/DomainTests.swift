import Cryptography
import Resilience
import Testing

@testable import GatewayService

@Suite struct UsernameTests {
  @Test func capitalsAreReadAsSmallLetters() {
    #expect(Username("Anna.B+c@Example-1_x")?.text == "anna.b+c@example-1_x")
  }

  @Test(arguments: ["", ".a", "a b", "ä", "a\u{0}", String(repeating: "a", count: 65), "a/b"])
  func whatIsNoUsernameIsNone(text: String) {
    #expect(Username(text) == nil)
  }

  @Test func passwordsAreLong() {
    #expect(NewPassword.objection(to: "eleven char")?.contains("at least 12") == true)
    #expect(NewPassword.objection(to: String(repeating: "é", count: 600))?.contains("1024") == true)
    #expect(NewPassword.objection(to: "a\u{0}bcdefghijklmnop") != nil)
    #expect(NewPassword.objection(to: "twelve chars") == nil)
  }

  @Test func anIPv6CustomerIsOneClient() {
    let one: [UInt8] = [0x20, 1, 0xD, 0xB8, 0, 1, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]
    #expect(ClientAddress.key(ipv6: one) == "2001:db8:1:2::/64")
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]
    #expect(ClientAddress.key(ipv6: mapped) == ClientAddress.key(ipv4: 0x0A00_0001))
  }
}

@Suite struct RateLimiterTests {
  private let policy = RateLimitPolicy("test", limit: 4, per: .seconds(4))
  private let start = MonotonicInstant(nanoseconds: 1_000_000_000_000)

  @Test func whatOthersSpentIsTakenOut() {
    var limiter = RateLimiter(policy)
    _ = limiter.take("a", at: start)
    let round = limiter.beginSettling()
    #expect(round.map(\.key) == ["a"])
    #expect(round.map(\.spent) == [1])
    // One more is spent while the database answers; of the 2 left there it takes one.
    _ = limiter.take("a", at: start)
    limiter.settled("a", credit: 2, at: start)
    #expect(limiter.state(of: "a", at: start).remaining == 1)
    #expect(limiter.take("a", at: start).verdict == .allowed)
    guard case .denied = limiter.take("a", at: start).verdict else {
      Issue.record("the others' tokens were spent")
      return
    }
    // Debts leave nothing, and what is not there is not given back.
    limiter.settled("a", credit: -3, at: start)
    #expect(limiter.state(of: "a", at: start).remaining == 0)
  }

  @Test func aRoundThatFailedIsAddedToTheNext() {
    var limiter = RateLimiter(policy)
    for _ in 0..<3 { _ = limiter.take("a", at: start) }
    let round = limiter.beginSettling()
    _ = limiter.take("a", at: start)
    limiter.notSettled(round.map(\.key))
    #expect(limiter.beginSettling().map(\.spent) == [4])
    #expect(limiter.beginSettling().isEmpty)
  }

  @Test func keysBeyondTheMostShareABucket() {
    var limiter = RateLimiter(policy, keysMax: 2)
    _ = limiter.take("a", at: start)
    _ = limiter.take("b", at: start)
    for index in 0..<4 {
      #expect(limiter.take("other-\(index)", at: start).verdict == .allowed)
    }
    guard case .denied = limiter.take("other-9", at: start).verdict else {
      Issue.record("the shared bucket is empty")
      return
    }
    #expect(limiter.keyCount == 3)
    #expect(limiter.state(of: "other-10", at: start).remaining == 0)
    // Known ones are not touched, and full buckets make room.
    #expect(limiter.take("a", at: start).verdict == .allowed)
    for key in limiter.beginSettling() { limiter.settled(key.key, credit: 4, at: start) }
    #expect(limiter.take("new", at: start + .seconds(10)).verdict == .allowed)
    #expect(limiter.keyCount == 1)
  }

  @Test func aRoundIsBounded() {
    var limiter = RateLimiter(policy)
    for index in 0..<(RateLimiter.settledMax + 1) { _ = limiter.take("\(index)", at: start) }
    #expect(limiter.beginSettling().count == RateLimiter.settledMax)
    #expect(limiter.beginSettling().count == 1)
  }

  @Test func loginsAtOnceAreNoMoreThanOneAfterAnother() {
    var throttle = LoginThrottle(
      username: RateLimitPolicy("u", limit: 2, per: .seconds(60)),
      address: RateLimitPolicy("a", limit: 9, per: .seconds(60)))
    #expect(throttle.begin(username: "x", address: "1", at: start) == nil)
    #expect(throttle.begin(username: "x", address: "1", at: start) == nil)
    #expect(throttle.begin(username: "x", address: "1", at: start) != nil)
    throttle.end(username: "x", address: "1", failed: false, at: start)
    #expect(throttle.begin(username: "x", address: "1", at: start) == nil)
    throttle.end(username: "x", address: "1", failed: true, at: start)
    throttle.end(username: "x", address: "1", failed: true, at: start)
    #expect(throttle.begin(username: "x", address: "1", at: start) == .seconds(30))
  }
}

@Suite struct RememberedTokensTests {
  private func signedIn(_ subject: String) throws -> SignedIn {
    let key = TokenSigningKey.es256(.generate())
    let issuer = TokenIssuer(rules: AccessTokens.rules, key: key)
    let claims = try issuer.issue(
      for: TokenPrincipal(subject: subject), now: 0, lifetimeSeconds: 60
    ).claims
    return SignedIn(claims)
  }

  @Test func theyAreBounded() throws {
    var remembered = RememberedTokens(countMax: 4)
    let one = try signedIn("x")
    for index in 0..<10 {
      remembered.remember("\(index)", one)
      #expect(remembered.count <= 4)
      // What is used stays.
      #expect(remembered.find("0") != nil)
    }
    #expect(remembered.find("3") == nil)
    remembered.forget("0")
    #expect(remembered.find("0") == nil)
  }
}
