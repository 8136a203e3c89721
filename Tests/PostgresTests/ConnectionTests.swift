import Postgres
import Reactor
import TestKit
import Testing

@Suite struct ConnectionTests {
  @Test func queriesResumeOnTheLoopsThread() async throws {
    let seen = try await withConnection { connection in
      let loop = connection.reactor.loop
      var seen = [loop.isCurrent]
      let rows = try await connection.query("SELECT 1::int8", deadline: .soon)
      seen.append(loop.isCurrent)
      #expect(try rows[0].decode(0, as: Int64.self) == 1)
      _ = try? await connection.query("SELECT 1/0", deadline: .soon)
      seen.append(loop.isCurrent)
      _ = try? await connection.query(
        "SELECT pg_sleep(60)", deadline: .now() + .milliseconds(20))
      seen.append(loop.isCurrent)
      return seen
    }
    #expect(seen == [true, true, true, true])
  }

  @Test func namesAreResolvedOffTheLoop() async throws {
    var options = ThrowawayPostgres.Options()
    options.loopback = true
    let server = try ThrowawayPostgres(options)
    let url = server.adminURL.replacing(/@[^\/]*\//, with: "@localhost/")
    try await onReactor { reactor in
      let connection = try await PostgresConnection.connect(
        PostgresConfiguration(url: url), on: reactor, blocking: BlockingPool(), logger: quiet)
      defer { connection.close() }
      let rows = try await connection.query("SELECT inet_server_port()", deadline: .soon)
      #expect(try rows[0].decode(0, as: Int.self) == server.port)
    }
  }

  @Test func aHostThatIsNoHostIsNamed() async throws {
    let error = await failure {
      try await onReactor { reactor in
        _ = try await PostgresConnection.connect(
          PostgresConfiguration(url: "postgresql://me:secret@no.such.host.invalid/db"),
          on: reactor, blocking: BlockingPool(), logger: quiet)
      }
    }
    #expect(error?.kind == .connectFailed)
    #expect(error?.message.contains("no.such.host.invalid") ?? false)
    #expect(!(error?.message.contains("secret") ?? true))
  }

  @Test func aWrongPasswordIsNotPrinted() async throws {
    let server = try ThrowawayPostgres.shared()
    let url = server.adminURL.replacing(/:[^:@]*@/, with: ":hunter2@")
    let error = await failure {
      try await onReactor { reactor in
        _ = try await PostgresConnection.connect(
          PostgresConfiguration(url: url), on: reactor, blocking: BlockingPool(), logger: quiet)
      }
    }
    #expect(error?.kind == .connectFailed)
    #expect(error?.isRetryable == true)
    #expect(error?.message.contains("password authentication failed") ?? false)
    #expect(!(error?.message.contains("hunter2") ?? true))
  }

  @Test func aServerThatDoesNotAnswerIsGivenUp() async throws {
    let silent = try SilentServer()
    let error = await failure {
      try await onReactor { reactor in
        var configuration = try PostgresConfiguration(
          url: "postgresql://me@127.0.0.1:\(silent.port)/db")
        configuration.connectTimeout = .milliseconds(50)
        _ = try await PostgresConnection.connect(
          configuration, on: reactor, blocking: BlockingPool(), logger: quiet)
      }
    }
    #expect(error?.kind == .connectFailed)
    #expect(error?.message.contains("no answer within the time allowed") ?? false)
  }

  @Test func aURLThatCannotBeReadIsRefusedWithoutPrintingIt() throws {
    #expect(
      throws: PostgresError(
        .misuse,
        "the database URL cannot be read: write it as postgresql://user:password@host:port/database"
          + " and percent-encode special characters")
    ) {
      try PostgresConfiguration(url: "postgresql://me:secr%zzet@host/db")
    }
  }

  // MARK: Pipelines and scripts

  @Test func aPipelineAnswersInOrderAndFailsAsOne() async throws {
    try await withConnection { connection in
      try await connection.script("CREATE TABLE t (n int8 PRIMARY KEY)", deadline: .soon)
      let results = try await connection.pipeline(deadline: .soon) { pipeline in
        for number in 0..<200 {
          pipeline.query("INSERT INTO t VALUES ($1) RETURNING n", [.int8(Int64(number))])
        }
      }
      #expect(try results.map { try $0[0].decode("n", as: Int.self) } == Array(0..<200))

      let error = await failure {
        try await connection.pipeline(deadline: .soon) { pipeline in
          pipeline.query("INSERT INTO t VALUES ($1)", [.int8(1_000)])
          pipeline.query("INSERT INTO t VALUES ($1)", [.int8(5)])
          pipeline.query("INSERT INTO t VALUES ($1)", [.int8(1_001)])
        }
      }
      #expect(error?.sqlState == .uniqueViolation)
      #expect(error?.statement == 1)
      #expect(error?.constraint == "t_pkey")
      #expect(error?.table == "t")
      let rows = try await connection.query("SELECT count(*) FROM t", deadline: .soon)
      #expect(try rows[0].decode(0, as: Int.self) == 200)
    }
  }

  @Test func overlappingCallsAreAnsweredInOrder() async throws {
    let numbers = try await withConnection { connection in
      try await atOnce(on: connection.reactor, count: 100) { number in
        let rows = try await connection.query(
          "SELECT $1 + 1", [.int8(Int64(number))], deadline: .soon)
        return try rows[0].decode(0, as: Int.self)
      }
    }
    #expect(numbers == Array(1...100))
  }

  @Test func aScriptFailsWithItsErrorAndLeavesTheConnectionUsable() async throws {
    try await withConnection { connection in
      let error = await failure {
        try await connection.script(
          "CREATE TABLE a (n int); SELECT nonsense; CREATE TABLE b (n int)", deadline: .soon)
      }
      #expect(error?.sqlState?.rawValue == "42703")
      let rows = try await connection.query(
        "SELECT to_regclass('a') IS NULL", deadline: .soon)
      #expect(try rows[0].decode(0, as: Bool.self))
    }
  }

  // MARK: Limits

  @Test func limitsAreNamed() async throws {
    try await withConnection {
      $0.pipelineStatementsMax = 3
      $0.callsInFlightMax = 2
      $0.resultBytesMax = 1_000_000
    } _: { connection in
      let tooLong = await failure {
        try await connection.pipeline(deadline: .soon) { pipeline in
          for _ in 0..<4 { pipeline.query("SELECT 1") }
        }
      }
      #expect(tooLong?.kind == .limitReached("pipelineStatementsMax"))

      let many = await failure {
        try await atOnce(on: connection.reactor, count: 3) { _ in
          try await connection.query("SELECT 1", deadline: .soon).count
        }
      }
      #expect(many?.kind == .exhausted("callsInFlightMax"))

      let parameters = await failure {
        try await connection.query(
          "SELECT 1", Array(repeating: .bool(true), count: 65_536), deadline: .soon)
      }
      #expect(parameters?.kind == .limitReached("PostgresParameter.countMax"))

      let bytes = await failure {
        try await connection.query(
          "SELECT $1", [.bytea(Array(repeating: 0, count: 64 * 1024 * 1024 + 1))],
          deadline: .soon)
      }
      #expect(bytes?.kind == .limitReached("PostgresParameter.bytesMax"))

      let large = await failure {
        try await connection.query(
          "SELECT repeat('x', 1000) FROM generate_series(1, 20000)", deadline: .soon)
      }
      #expect(large?.kind == .limitReached("resultBytesMax"))
      #expect(connection.isClosed)
      let closed = await failure { try await connection.query("SELECT 1", deadline: .soon) }
      #expect(closed?.kind == .closed)
    }
  }

  @Test func largeParametersAndResultsGoThrough() async throws {
    try await withConnection { connection in
      let bytes = [UInt8](repeating: 7, count: 8 * 1024 * 1024)
      let rows = try await connection.query("SELECT $1", [.bytea(bytes)], deadline: .soon)
      #expect(try rows[0].decode(0, as: [UInt8].self) == bytes)
    }
  }

  // MARK: Deadlines and cancellation

  @Test func aDeadlineStopsTheStatementOnTheServer() async throws {
    try await withConnection { connection in
      let error = await failure {
        try await connection.query("SELECT pg_sleep(60)", deadline: .now() + .milliseconds(30))
      }
      #expect(error?.kind == .deadlineExceeded)
      #expect(!connection.isClosed)
      let rows = try await connection.query("SELECT 'still here'", deadline: .soon)
      #expect(try rows[0].decode(0, as: String.self) == "still here")
      let past = await failure { try await connection.query("SELECT 1", deadline: .now()) }
      #expect(past?.kind == .deadlineExceeded)
    }
  }

  @Test func cancellingTheTaskStopsTheStatementOnTheServer() async throws {
    try await withConnection { connection in
      let loop = connection.reactor.loop
      let outcome = Outcome()
      let task = loop.spawn(on: connection.reactor) {
        outcome.error = await failure {
          try await connection.query("SELECT pg_sleep(60)", deadline: .soon)
        }
      }
      task.cancel()
      await task.value
      #expect(outcome.error?.kind == .cancelled)
      let rows = try await connection.query("SELECT 1", deadline: .soon)
      #expect(rows.count == 1)
    }
  }

  @Test func aWaitingCallIsGivenUpWithoutHarmToTheOneBeforeIt() async throws {
    try await withConnection { connection in
      let first = Outcome()
      let task = connection.reactor.loop.spawn(on: connection.reactor) {
        first.error = await failure {
          try await connection.query("SELECT pg_sleep(0.2)", deadline: .soon)
        }
      }
      let second = await failure {
        try await connection.query("SELECT pg_sleep(60)", deadline: .now() + .milliseconds(20))
      }
      #expect(second?.kind == .deadlineExceeded)
      await task.value
      #expect(first.error == nil)
      let rows = try await connection.query("SELECT 1", deadline: .soon)
      #expect(rows.count == 1)
    }
  }

  @Test func aServerThatDoesNotStopLosesTheConnection() async throws {
    let error = try await withConnection {
      $0.cancelGrace = .milliseconds(50)
    } _: { connection in
      // A stopped process neither answers nor takes the request.
      await freezing(connection.backendProcess) {
        let error = await failure {
          try await connection.query("SELECT 1", deadline: .now() + .milliseconds(20))
        }
        #expect(connection.isClosed)
        return error
      }
    }
    #expect(error?.kind == .outcomeUnknown)
    #expect(error?.isRetryable == false)
  }

  // MARK: Loss

  @Test func aTerminatedSessionIsARetryableError() async throws {
    try await withConnection { connection in
      let error = await failure {
        try await connection.query(
          "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)", deadline: .soon)
      }
      #expect(error?.sqlState == .adminShutdown)
      #expect(error?.isRetryable == true)
      let after = await failure { try await connection.query("SELECT 1", deadline: .soon) }
      #expect(after != nil)
      #expect(connection.isClosed)
    }
  }
}
