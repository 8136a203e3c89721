import Postgres
import Reactor
import TestKit
import Testing

@Suite struct ListenerTests {
  @Test func notificationsArriveAlsoAfterTheConnectionWasLost() async throws {
    try await withListener { listener, connection in
      let heard = Events()
      try listener.listen(to: "stores", heard.append)
      #expect(await heard.next() == .mayHaveMissed)
      // What a transaction announces is heard when it commits.
      try await connection.pipeline(deadline: .soon) { pipeline in
        pipeline.query("SELECT pg_notify('stores', $1)", [.text("one ü")])
        pipeline.query("SELECT pg_notify('others', 'not for us')")
        pipeline.query("SELECT pg_notify('stores', 'two')")
      }
      #expect(await heard.next() == .notification("one ü"))
      #expect(await heard.next() == .notification("two"))

      try await connection.query(
        """
        SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
        """, deadline: .soon)
      #expect(await heard.next() == .mayHaveMissed)
      try await connection.query("SELECT pg_notify('stores', 'three')", deadline: .soon)
      #expect(await heard.next() == .notification("three"))
    }
  }

  @Test func channelsCanBeAddedLaterAndHaveAnyName() async throws {
    try await withListener { listener, connection in
      let first = Events()
      let second = Events()
      try listener.listen(to: "first", first.append)
      #expect(await first.next() == .mayHaveMissed)
      try listener.listen(to: "A \"strange\"; name", second.append)
      #expect(await second.next() == .mayHaveMissed)
      try await connection.query(
        "SELECT pg_notify($1, 'x')", [.text("A \"strange\"; name")], deadline: .soon)
      #expect(await second.next() == .notification("x"))
      #expect(first.isEmpty)
    }
  }

  @Test func wrongAndTooManyChannelsAreRefused() async throws {
    try await withListener { listener, _ in
      for name in ["", String(repeating: "x", count: 64), "a\0b"] {
        let error = await failure { try listener.listen(to: name) { _ in } }
        #expect(error?.kind == .misuse)
      }
      for number in 0..<64 { try listener.listen(to: "c\(number)") { _ in } }
      let double = await failure { try listener.listen(to: "c0") { _ in } }
      #expect(double?.kind == .misuse)
      let many = await failure { try listener.listen(to: "c64") { _ in } }
      #expect(many?.kind == .limitReached("channelsMax"))
      listener.close()
      let closed = await failure { try listener.listen(to: "d") { _ in } }
      #expect(closed?.kind == .closed)
    }
  }

  private func withListener(
    _ body: @Sendable (PostgresListener, PostgresConnection) async throws -> Void
  ) async throws {
    try await withConnection { connection in
      let listener = PostgresListener(
        connection.configuration, on: connection.reactor, blocking: BlockingPool(),
        logger: quiet)
      defer { listener.close() }
      try await body(listener, connection)
    }
  }
}

/// Events in the order of their arrival; confined to a reactor.
private final class Events {
  private var events: [PostgresListener.Event] = []
  private var waiting: CheckedContinuation<Void, Never>?

  var isEmpty: Bool { events.isEmpty }

  func append(_ event: PostgresListener.Event) {
    events.append(event)
    waiting?.resume()
    waiting = nil
  }

  func next() async -> PostgresListener.Event {
    if events.isEmpty { await withCheckedContinuation { waiting = $0 } }
    return events.removeFirst()
  }
}
