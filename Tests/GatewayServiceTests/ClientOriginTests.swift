import Configuration
import HTTP
import Reactor
import Resilience
import Testing

@testable import GatewayService

/// Networks as the setting gives them.
func proxies(_ text: String) throws -> [AddressRange] {
  try Configuration.load(
    PlatformService.gateway.schema,
    environment: ["DATABASE_URL": "postgresql://u@h/d", "TRUSTED_PROXIES": text]
  )[PlatformSettings.trustedProxies]
}

@Suite struct ClientOriginTests {
  private static let proxy = "10.0.0.7"

  /// The client of a request whose X-Forwarded-For fields are these.
  private func client(
    _ forwarded: [String], peer: String = proxy, behind trusted: String = "10.0.0.0/8,fd00::/8"
  ) throws -> ClientOrigin {
    var headers = HTTPHeaders()
    for value in forwarded { headers.append("x-forwarded-for", value) }
    let peer = try #require(SocketAddress(ip: peer, port: 5555))
    return ClientOrigin(peer, headers, behind: try proxies(trusted))
  }

  @Test(arguments: [
    // One proxy, and a chain of them, each in a column of its own.
    (["203.0.113.9"], "203.0.113.9"),
    (["203.0.113.9, 10.1.1.1, 10.2.2.2"], "203.0.113.9"),
    (["203.0.113.9,10.1.1.1,fd00::3"], "203.0.113.9"),
    // What the client itself made up stands before what the proxies added.
    (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
    (["10.9.9.9, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
    // The field given twice is one list.
    (["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
    (["198.51.100.1, 203.0.113.9", "10.1.1.1"], "203.0.113.9"),
    // A client among the proxies' own networks.
    (["10.3.3.3, 10.1.1.1"], "10.3.3.3"),
    (["2001:db8:1:2::9"], "2001:db8:1:2::9"),
    (["::ffff:203.0.113.9, ::ffff:10.1.1.1"], "::ffff:203.0.113.9"),
    // With a port, as some write it.
    (["203.0.113.9:4711"], "203.0.113.9"),
    (["[2001:db8::9]:4711"], "2001:db8::9"),
    (["[2001:db8::9]"], "2001:db8::9"),
    (["\t203.0.113.9  "], "203.0.113.9"),
  ])
  func theClientIsTheLastThatIsNoProxy(forwarded: [String], address: String) throws {
    #expect(try client(forwarded).address == address)
  }

  @Test(arguments: [
    "", " ", ",", "unknown", "_hidden", "203.0.113", "203.0.113.9.1", "203.0.113.256",
    "0203.0.113.9", "203.0.113.9:", "203.0.113.9:port", "203.0.113.9:70000", ":80", "unix:/run/x",
    "[203.0.113.9]", "[2001:db8::9", "2001:db8::9]", "fe80::1%eth0", "2001:db8::9::1",
    "203.0.113.9/32", "for=203.0.113.9", "\"203.0.113.9\"", String(repeating: "1", count: 5000),
  ])
  func whatIsNoAddressEndsTheWalk(garbage: String) throws {
    #expect(try client([garbage]).address == Self.proxy)
    #expect(try client(["203.0.113.9", garbage]).address == Self.proxy)
    // The proxies behind it are known by then; whom the outermost was called by is not.
    #expect(try client(["203.0.113.9, \(garbage), 10.1.1.1"]).address == "10.1.1.1")
    #expect(try client(["\(garbage), 203.0.113.9, 10.1.1.1"]).address == "203.0.113.9")
  }

  @Test func theFieldOfAnybodyElseIsIgnored() throws {
    #expect(try client(["203.0.113.9"], peer: "192.0.2.1").address == "192.0.2.1")
    #expect(try client(["203.0.113.9"], peer: "2001:db8::1").address == "2001:db8::1")
    #expect(try client(["203.0.113.9"], behind: "").address == Self.proxy)
    #expect(try client([]).address == Self.proxy)
    var headers = HTTPHeaders()
    headers.append("x-forwarded-for", "203.0.113.9")
    let local = ClientOrigin(.unix(path: "/run/x"), headers, behind: try proxies("10.0.0.0/8"))
    #expect(local.address == "" && local.key == "local")
  }

  @Test func aProxyIsKnownOverIPv6AsWell() throws {
    #expect(try client(["203.0.113.9"], peer: "fd00::1").address == "203.0.113.9")
    #expect(try client(["203.0.113.9"], peer: "fe00::1").address == "fe00::1")
    #expect(try client(["203.0.113.9"], peer: "::ffff:10.0.0.7").address == "203.0.113.9")
    #expect(try client(["2001:db8:1:2::9"], peer: "fd00::1").key == "2001:db8:1:2::/64")
  }

  @Test func entriesBeyondTheLimitAreNotLookedAt() throws {
    let hops = Array(repeating: "10.1.1.1", count: ClientOrigin.forwardedEntriesMax - 1)
    let within = ["203.0.113.9"] + hops
    #expect(try client([within.joined(separator: ", ")]).address == "203.0.113.9")
    let beyond = within + ["10.1.1.1"]
    #expect(try client([beyond.joined(separator: ", ")]).address == "10.1.1.1")
    #expect(try client(beyond).address == "10.1.1.1")
    let flood = String(repeating: "10.1.1.1,", count: 5000) + "203.0.113.9"
    #expect(try client([flood]).address == "203.0.113.9")
  }
}

extension GatewayTests {
  @Suite struct Proxies {
    @Test func whoGuessesBehindAProxyLocksOutNobodyElse() async throws {
      var options = TestGateway.Options()
      options.trustedProxies = try proxies("127.0.0.0/8")
      options.limits.loginAddress = RateLimitPolicy("login-address", limit: 2, per: .seconds(60))
      try await withGateway(options) { gateway in
        let name = try await gateway.addUser()
        func login(_ name: String, from address: String) throws -> Int {
          try gateway.login(name, headers: ["X-Forwarded-For": address]).status
        }
        for attempt in 0..<2 {
          #expect(try login("nobody-\(attempt)", from: "198.51.100.1, 203.0.113.9") == 401)
        }
        #expect(try login(name, from: "198.51.100.2, 203.0.113.9") == 429)
        #expect(try login(name, from: "203.0.113.10") == 200)
      }
    }

    @Test func aClientCannotChooseItsAddress() async throws {
      var options = TestGateway.Options()
      options.trustedProxies = try proxies("10.0.0.0/8")
      options.limits.loginAddress = RateLimitPolicy("login-address", limit: 2, per: .seconds(60))
      try await withGateway(options) { gateway in
        let name = try await gateway.addUser()
        for attempt in 0..<2 {
          let headers = ["X-Forwarded-For": "203.0.113.\(attempt)"]
          #expect(try gateway.login("nobody-\(attempt)", headers: headers).status == 401)
        }
        let headers = ["X-Forwarded-For": "203.0.113.77"]
        #expect(try gateway.login(name, headers: headers).status == 429)
      }
    }
  }
}
