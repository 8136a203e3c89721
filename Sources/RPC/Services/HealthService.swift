package import Contracts
package import RPC
import RPCCore

/// `grpc.health.v1.Health`: whether the server, named "", and each of its services can take calls.
package final class HealthService: GRPCHealthV1.HealthHandler {
  package typealias Status = GRPCHealthV1.HealthCheckResponse.ServingStatus

  /// Clients that may watch at once; each holds a stream for as long as it likes.
  package static let watchersMax = 1000

  private var statuses: [String: Status] = ["": .notServing]
  private var watchers: [Int: Watcher] = [:]
  private var nextWatcher = 0

  private var isOver = false

  private struct Watcher {
    let service: String
    let changes: AsyncStream<Void>.Continuation
  }

  package init() {}

  /// Sets the status of `service`, and tells those who watch it.
  package func set(_ status: Status, for service: String = "") {
    if statuses.updateValue(status, forKey: service) == status { return }
    for watcher in watchers.values where watcher.service == service { watcher.changes.yield() }
  }

  /// Ends all watches, after their last status: they would otherwise keep a server from draining.
  package func end() {
    isOver = true
    for watcher in watchers.values { watcher.changes.finish() }
  }

  package func check(
    _ request: GRPCHealthV1.HealthCheckRequest, context: ServerContext
  ) async throws -> GRPCHealthV1.HealthCheckResponse {
    guard let status = statuses[request.service] else {
      throw RPCError(.notFound, "no service \(request.service.prefix(200))")
    }
    return response(status)
  }

  package func list(
    _ request: GRPCHealthV1.HealthListRequest, context: ServerContext
  ) async throws -> GRPCHealthV1.HealthListResponse {
    var list = GRPCHealthV1.HealthListResponse()
    list.statuses = statuses.mapValues(response)
    return list
  }

  package func watch(
    _ request: GRPCHealthV1.HealthCheckRequest,
    responses: ResponseWriter<GRPCHealthV1.HealthCheckResponse>, context: ServerContext
  ) async throws {
    if watchers.count >= HealthService.watchersMax {
      throw RPCError(.resourceExhausted, "\(watchers.count) clients watch already")
    }
    // A buffer of one is enough: only the latest status matters.
    let (changes, continuation) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id = nextWatcher
    nextWatcher += 1
    watchers[id] = Watcher(service: request.service, changes: continuation)
    if isOver { continuation.finish() }
    defer { watchers[id] = nil }
    // The specification: an unknown service is reported as such, and may appear later.
    var last = statuses[request.service] ?? .serviceUnknown
    try await responses.write(response(last))
    var iterator = changes.makeAsyncIterator()
    while await iterator.next(isolation: #isolation) != nil {
      let status = statuses[request.service] ?? .serviceUnknown
      if status == last { continue }
      last = status
      try await responses.write(response(status))
    }
    throw isOver
      ? RPCError(.unavailable, "the server stops") : RPCError(.cancelled, "the call was cancelled")
  }

  private func response(_ status: Status) -> GRPCHealthV1.HealthCheckResponse {
    var response = GRPCHealthV1.HealthCheckResponse()
    response.status = status
    return response
  }
}
