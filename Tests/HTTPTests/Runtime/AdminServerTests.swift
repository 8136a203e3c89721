import Foundation
import HTTP
import Observability
import Reactor
import Testing

@Suite struct AdminServerTests {
  private struct Kept: @unchecked Sendable {
    let server: AdminServer
    let port: UInt16
  }

  private func curl(_ port: UInt16, _ path: String, _ arguments: String...) throws -> String {
    try CommandResult.run(
      ["curl", "-sS", "-i", "--max-time", "20"] + arguments + ["http://127.0.0.1:\(port)\(path)"]
    ).output
  }

  @Test func answersProbesAndScrapes() async throws {
    let metrics = MetricsRegistry()
    metrics.counter("requests_total", help: "Requests.").increment(by: 3)
    let health = HealthRegistry()
    let check = health.addCheck("database")
    let reactor = try Reactor.start(name: "admin")
    let kept = try await reactor.run { reactor in
      let server = AdminServer(reactor: reactor, metrics: metrics, health: health)
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      return Kept(server: server, port: address.port ?? 0)
    }
    let scrape = try curl(kept.port, "/metrics")
    #expect(scrape.contains("content-type: text/plain; version=0.0.4"))
    #expect(scrape.contains("\nrequests_total 3\n"))
    #expect(try curl(kept.port, "/healthz").hasPrefix("HTTP/1.1 200"))
    #expect(try curl(kept.port, "/readyz").hasPrefix("HTTP/1.1 503"))
    check.pass()
    #expect(try curl(kept.port, "/readyz").hasPrefix("HTTP/1.1 200"))
    health.declareDead("no more memory")
    #expect(try curl(kept.port, "/healthz").hasPrefix("HTTP/1.1 503"))
    #expect(try curl(kept.port, "/other").hasPrefix("HTTP/1.1 404"))
    let post = try curl(kept.port, "/metrics", "-X", "POST")
    #expect(post.hasPrefix("HTTP/1.1 405"))
    #expect(post.contains("allow: GET, HEAD"))
    reactor.loop.stop()
  }
}
