package import Observability
package import Reactor

/// `/metrics`, `/healthz` and `/readyz` on a port of their own, for Prometheus and the kubelet.
///
/// Plain HTTP, and to be kept off public networks. It goes on while the service drains, so that the
/// probes can see it: end it last.
package final class AdminServer {
  private let server: HTTPServer

  package init(reactor: Reactor, metrics: MetricsRegistry, health: HealthRegistry) {
    server = HTTPServer(
      reactor: reactor, limits: AdminServer.limits,
      handler: AdminHandler(metrics: metrics, health: health))
  }

  /// A probe and a scraper or two: anything more is a mistake or an attack.
  private static var limits: HTTPServerLimits {
    var limits = HTTPServerLimits()
    limits.listener.connections = 64
    limits.handlersMax = 64
    limits.bodyBytesMax = 0
    limits.headTimeout = .seconds(5)
    return limits
  }

  /// Starts to listen; returns the address, with the kernel's port where 0 was asked for.
  @discardableResult
  package func listen(on address: SocketAddress) throws -> SocketAddress {
    try server.listen(on: address)
  }

  package func drain(until deadline: Instant) async { await server.drain(until: deadline) }
}

private final class AdminHandler: HTTPHandler {
  private let metrics: MetricsRegistry
  private let health: HealthRegistry

  init(metrics: MetricsRegistry, health: HealthRegistry) {
    self.metrics = metrics
    self.health = health
  }

  func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    let method = request.head.method
    guard ["/metrics", "/healthz", "/readyz"].contains(request.head.path) else {
      return try await answer(response, HTTPProblem(.notFound))
    }
    guard method == .get || method == .head else {
      return try await answer(response, HTTPProblem(.methodNotAllowed), ["allow": "GET, HEAD"])
    }
    switch request.head.path {
    case "/healthz": try await answer(response, health.liveness())
    case "/readyz": try await answer(response, health.readiness())
    default:
      try await response.send(
        .ok, ["content-type": MetricsRegistry.contentType], body: metrics.exposition())
    }
  }

  private func answer(
    _ response: HTTPResponseWriter, _ report: HealthRegistry.Report
  ) async throws {
    let status = report.isHealthy ? HTTPStatus.ok : .serviceUnavailable
    try await response.send(
      status, ["content-type": HealthRegistry.Report.contentType, "cache-control": "no-store"],
      body: Array(report.body.utf8))
  }

  private func answer(
    _ response: HTTPResponseWriter, _ problem: HTTPProblem, _ headers: HTTPHeaders = [:]
  ) async throws {
    try await response.send(problem.head(headers), body: problem.body)
  }
}
