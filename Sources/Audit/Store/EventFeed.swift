import Postgres
import Reactor

/// The events of one tenant as they are recorded: each once, in the order in which they became visible.
///
/// Positions and times are given out before a transaction commits, so that who follows "greater than
/// the last one" loses what commits late. A feed compares snapshots instead: after a read it keeps the
/// snapshot that the read was made with, and the next read asks for the rows whose transaction that
/// snapshot did not see yet, which is exactly what has been committed in between, however long it took.
/// No read goes back behind the oldest transaction that was under way (`pg_snapshot_xmin`), and nothing
/// is held back for one that takes its time.
///
/// A difference that is larger than a read is read in parts, by (transaction, position) and up to the
/// snapshot of its first part, so that what commits meanwhile belongs to the next difference.
struct EventFeed {
  private enum State {
    /// Events of before the feed, from a time on.
    case history(since: Int64, upTo: String, after: EventKey?)
    /// What this snapshot did not see.
    case changes(since: String)
    /// The same, up to another one, with the place of the last event that was read.
    case part(since: String, upTo: String, after: (transaction: String, position: Int64))
  }

  private let history: EventHistory
  private let tenant: String
  private let filter: EventFilter
  private let limit: Int
  private var state: State

  /// Begins with the events recorded from `since` on (microseconds since 1970), or with those to come.
  init(
    _ history: EventHistory, tenant: String, filter: EventFilter, since: Int64?, limit: Int,
    deadline: Instant
  ) async throws(PostgresError) {
    self.history = history
    self.tenant = tenant
    self.filter = filter
    self.limit = limit
    let snapshot = try await history.snapshot(tenant: tenant, deadline: deadline)
    if let since {
      state = .history(since: since, upTo: snapshot, after: nil)
    } else {
      state = .changes(since: snapshot)
    }
  }

  /// Of what has been read; what it does not see is still to be.
  var snapshot: String {
    switch state {
    case .history(_, let snapshot, _), .changes(let snapshot), .part(let snapshot, _, _): snapshot
    }
  }

  /// The next events, at most `limit`; none when there are no more for now.
  mutating func next(deadline: Instant) async throws(PostgresError) -> [StoredEvent] {
    if case .history(let since, let snapshot, let key) = state {
      let events = try await past(since, snapshot, key, deadline)
      if !events.isEmpty { return events }
    }
    return try await changes(deadline)
  }

  private mutating func past(
    _ since: Int64, _ snapshot: String, _ key: EventKey?, _ deadline: Instant
  ) async throws(PostgresError) -> [StoredEvent] {
    var query = EventQuery(tenant: tenant, filter: filter)
    query.recorded(since: since)
    query.visible(in: snapshot)
    query.inOrder(.oldestFirst, after: key, ofStore: false)
    let events = try await history.run(&query, tenant, limit, deadline).map(\.stored)
    if let last = events.last, events.count == limit {
      state = .history(since: since, upTo: snapshot, after: last.key)
    } else {
      state = .changes(since: snapshot)
    }
    return events
  }

  private mutating func changes(_ deadline: Instant) async throws(PostgresError) -> [StoredEvent] {
    var query = EventQuery(tenant: tenant, filter: filter)
    query.select("pg_current_snapshot()::text AS snapshot")
    let from: String
    let upTo: String?
    switch state {
    case .history(_, let snapshot, _), .changes(let snapshot):
      (from, upTo) = (snapshot, nil)
      query.invisible(in: snapshot, after: nil)
    case .part(let snapshot, let end, let key):
      (from, upTo) = (snapshot, end)
      query.invisible(in: snapshot, after: key)
      query.visible(in: end)
    }
    let (before, rows) = try await history.runAfterSnapshot(&query, tenant, limit, deadline)
    guard let last = rows.last else {
      // Even so the next read begins later: what the filter leaves out is not read again.
      state = .changes(since: upTo ?? before)
      return upTo == nil ? [] : try await changes(deadline)
    }
    let end: String = if let upTo { upTo } else { try last.row.decode("snapshot") }
    if rows.count == limit {
      let key = (last.stored.transaction, last.stored.key.position)
      state = .part(since: from, upTo: end, after: key)
    } else {
      state = .changes(since: end)
    }
    return rows.map(\.stored)
  }
}
