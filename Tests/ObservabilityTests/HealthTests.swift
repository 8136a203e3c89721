import Foundation
import Observability
import Testing

@Suite struct HealthTests {
  @Test func aCheckFailsUntilItHasPassed() {
    let health = HealthRegistry()
    let database = health.addCheck("database")
    #expect(!health.readiness().isHealthy)
    #expect(health.readiness().statusCode == 503)
    #expect(
      health.readiness().body
        == #"{"status":"not ready","checks":[{"name":"database","status":"fail","reason":"not checked yet"}]}"#
    )
    #expect(database.pass())
    #expect(!database.pass(), "nothing changed the second time")
    #expect(health.readiness().statusCode == 200)
    #expect(
      health.readiness().body
        == #"{"status":"ready","checks":[{"name":"database","status":"pass"}]}"#)
  }

  @Test func oneFailureIsEnoughAndIsNamed() throws {
    let health = HealthRegistry()
    health.addCheck("database").pass()
    let audit = health.addCheck("audit")
    audit.pass()
    #expect(audit.fail("connection \"refused\"\n"))
    let report = health.readiness()
    #expect(!report.isHealthy)
    let body = try #require(
      try JSONSerialization.jsonObject(with: Data(report.body.utf8)) as? [String: Any])
    let checks = try #require(body["checks"] as? [[String: String]])
    #expect(
      checks == [
        ["name": "database", "status": "pass"],
        ["name": "audit", "status": "fail", "reason": "connection \"refused\"\n"],
      ])
  }

  @Test func noChecksIsReady() {
    #expect(HealthRegistry().readiness().body == #"{"status":"ready","checks":[]}"#)
  }

  @Test func drainingIsAliveButNotReady() {
    let health = HealthRegistry()
    health.addCheck("database").pass()
    health.beginDraining()
    #expect(health.liveness().body == #"{"status":"alive"}"#)
    #expect(health.liveness().statusCode == 200)
    #expect(
      health.readiness().body
        == #"{"status":"not ready","reason":"shutting down","checks":[{"name":"database","status":"pass"}]}"#
    )
  }

  @Test func deadIsNeither() {
    let health = HealthRegistry()
    health.declareDead("the reactor's epoll is gone")
    #expect(health.liveness().statusCode == 503)
    #expect(
      health.liveness().body == #"{"status":"dead","reason":"the reactor's epoll is gone"}"#)
    #expect(!health.readiness().isHealthy)
  }

  @Test func reasonsAreBounded() throws {
    let health = HealthRegistry()
    health.addCheck("database").fail(String(repeating: "\n", count: 100_000))
    #expect(health.readiness().body.utf8.count < 2 * HealthRegistry.reasonBytesMaximum + 100)
  }

  @Test func checksAreLimited() async {
    await #expect(processExitsWith: .failure) {
      let health = HealthRegistry()
      for index in 0...HealthRegistry.checksMaximum { _ = health.addCheck("\(index)") }
    }
    await #expect(processExitsWith: .failure) {
      let health = HealthRegistry()
      _ = health.addCheck("twice")
      _ = health.addCheck("twice")
    }
  }
}
