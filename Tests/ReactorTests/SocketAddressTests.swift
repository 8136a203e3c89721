import Testing

@testable import Reactor

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("10.0.0.1:1", "10.0.0.1:2", true),
    ("10.0.0.1:1", "10.0.0.2:1", false),
    ("[2001:db8::1]:1", "[2001:db8::ffff:2]:2", true),
    ("[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
    // IPv4 as a socket of both families shows it.
    ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]:2", true),
    ("[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.2]:1", false),
  ])
  func hostsAreToldApart(one: String, other: String, areSame: Bool) throws {
    let hosts = try [one, other].map { try #require(SocketAddress($0)?.host) }
    #expect((hosts[0] == hosts[1]) == areSame)
  }

  @Test func aUnixSocketHasNoHost() {
    #expect(SocketAddress("unix:/run/x.sock") != nil)
    #expect(SocketAddress("unix:/run/x.sock")?.host == nil)
  }
}
