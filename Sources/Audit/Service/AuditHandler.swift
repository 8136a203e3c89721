package import Contracts
package import Postgres
import Protobuf
package import RPC
import RPCCore
import Reactor
package import ServiceRuntime

/// The calls of `storeplane.audit.v1.AuditService`. Confined to its reactor.
package final class AuditHandler: AuditV1.AuditServiceHandler {
  private let recording: EventAppend
  private let history: EventHistory
  private let hub: TailHub
  private let limits: AuditLimits

  /// - Parameters:
  ///   - application: reads for tenants.
  ///   - worker: records.
  package init(
    application: PostgresPool, worker: PostgresPool, hub: TailHub, limits: AuditLimits
  ) {
    recording = EventAppend(pool: worker)
    history = EventHistory(pool: application)
    self.hub = hub
    self.limits = limits
  }

  /// Services record what happened in them; only the gateway reads, for a caller that it names.
  package static func policy() -> AuthorizationPolicy {
    let policy = AuthorizationPolicy()
    policy.allow(
      [AuditV1.AuditServiceMethods.appendEvents], to: .provisioner, .config, .gateway)
    policy.allow(
      [AuditV1.AuditServiceMethods.listEvents, AuditV1.AuditServiceMethods.tailEvents],
      to: .gateway)
    return policy
  }

  // MARK: AppendEvents

  package func appendEvents(
    _ request: AuditV1.AppendEventsRequest, context: ServerContext
  ) async throws -> AuditV1.AppendEventsResponse {
    guard let service = context.callingService else {
      throw RPCError(.unauthenticated, "events are taken from services only")
    }
    guard !request.events.isEmpty else {
      throw RPCError.invalidArgument(field: "events", description: "send at least one")
    }
    guard request.events.count <= AuditLimits.appendEventsMax else {
      throw RPCError.invalidArgument(
        field: "events",
        description:
          "\(request.events.count) events; at most \(AuditLimits.appendEventsMax) at once"
      )
    }
    var batch = EventBatch(request.events, from: service.rawValue)
    let recorded = try await answering {
      try await recording.append(batch.new, deadline: context.databaseDeadline)
    }
    hub.announce(batch.settle(recorded))
    return AuditV1.AppendEventsResponse(results: batch.results)
  }

  // MARK: ListEvents

  package func listEvents(
    _ request: AuditV1.ListEventsRequest, context: ServerContext
  ) async throws -> AuditV1.ListEventsResponse {
    let tenant = try context.tenant()
    var reader = EventRequestReader()
    var filter = reader.filter(store: request.store, action: request.action, actor: request.actor)
    filter.since = reader.time("since", request.since)
    filter.until = reader.time("until", request.until)
    let order = reader.order(request.order)
    let size = reader.pageSize(request.pageSize)
    let token = PageToken(listing: filter, order, of: tenant)
    let key = reader.key(token, request.pageToken)
    if !reader.violations.isEmpty { throw RPCError.invalidArgument(reader.violations) }
    let events = try await answering {
      // One more shows whether there is a next page.
      try await history.list(
        tenant: tenant, filter: filter, order: order, after: key, limit: size + 1,
        deadline: context.databaseDeadline)
    }
    return page(events, size, token)
  }

  private func page(
    _ events: [StoredEvent], _ size: Int, _ token: PageToken
  ) -> AuditV1.ListEventsResponse {
    var response = AuditV1.ListEventsResponse()
    var bytes = 0
    for stored in events.prefix(size) {
      bytes += stored.event.serialized().count
      if bytes > AuditLimits.pageBytesMax && !response.events.isEmpty { break }
      response.events.append(stored.event)
    }
    let count = response.events.count
    if count < events.count && count > 0 {
      response.nextPageToken = token.encode(after: events[count - 1].key)
    }
    return response
  }

  // MARK: TailEvents

  package func tailEvents(
    _ request: AuditV1.TailEventsRequest, responses: ResponseWriter<AuditV1.Event>,
    context: ServerContext
  ) async throws {
    let tenant = try context.tenant()
    var reader = EventRequestReader()
    let filter = reader.filter(store: request.store, action: request.action, actor: request.actor)
    let since = reader.time("since", request.since)
    if !reader.violations.isEmpty { throw RPCError.invalidArgument(reader.violations) }
    try await hub.tailing(tenant) { wakeUp in
      var feed = try await self.answering {
        try await EventFeed(
          self.history, tenant: tenant, filter: filter, since: since,
          limit: AuditLimits.tailEventsMax, deadline: context.databaseDeadline)
      }
      while true {
        if self.hub.isStopping {
          throw RPCError(.unavailable, "the service is stopping; tail again from the last event")
        }
        try Task.checkCancellation()
        let events = try await self.answering {
          try await feed.next(deadline: context.databaseDeadline)
        }
        for stored in events { try await responses.write(stored.event) }
        if events.isEmpty { await wakeUp.wait(atMost: self.limits.tailPollInterval) }
      }
    }
  }

  /// Turns the database's failures into what a caller is told.
  private func answering<R>(_ body: () async throws -> R) async throws -> R {
    do {
      return try await body()
    } catch let error as PostgresError {
      throw RPCError(database: error) ?? error
    }
  }
}
