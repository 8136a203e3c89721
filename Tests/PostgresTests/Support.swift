import Glibc
import Logging
import Postgres
import Reactor
import TestKit

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(60) }
}

/// Runs `body` on a reactor of its own.
func onReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run(body)
}

/// Runs `body` on a reactor of its own, with a connection to an empty database as a superuser.
func withConnection<R: Sendable>(
  _ adjust: @Sendable (inout PostgresConfiguration) -> Void = { _ in },
  _ body: @Sendable (PostgresConnection) async throws -> R
) async throws -> R {
  var configuration = try PostgresConfiguration(url: ThrowawayPostgres.shared().createDatabase())
  // A busy machine is no failure.
  configuration.connectTimeout = .seconds(60)
  configuration.cancelGrace = .seconds(60)
  adjust(&configuration)
  return try await onReactor { [configuration] reactor in
    let connection = try await PostgresConnection.connect(
      configuration, on: reactor, blocking: BlockingPool(), logger: quiet)
    defer { connection.close() }
    return try await body(connection)
  }
}

/// The database error that `body` throws, nil where it throws none.
func failure<R>(_ body: () async throws -> R) async -> PostgresError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? PostgresError ?? PostgresError(.misuse, "another error: \(error)")
  }
}

/// What a task found out; confined to a reactor.
final class Outcome {
  var error: PostgresError?
  var numbers: [Int: Int] = [:]
}

/// Runs `count` tasks at once on `reactor`, whose thread the caller is on; their values in order.
func atOnce(
  on reactor: Reactor, count: Int, _ body: @escaping (Int) async throws -> Int
) async throws -> [Int] {
  let outcome = Outcome()
  let tasks = (0..<count).map { number in
    reactor.loop.spawn(on: reactor) {
      do {
        outcome.numbers[number] = try await body(number)
      } catch {
        outcome.error = error as? PostgresError
      }
    }
  }
  for task in tasks { await task.value }
  if let error = outcome.error { throw error }
  return (0..<count).compactMap { outcome.numbers[$0] }
}

/// Runs `body` while a process of the database server stands still.
func freezing<R>(_ process: Int32, _ body: () async throws -> R) async rethrows -> R {
  kill(process, SIGSTOP)
  defer { kill(process, SIGCONT) }
  return try await body()
}

/// A port of 127.0.0.1 that takes connections and says nothing.
final class SilentServer: Sendable {
  let port: UInt16
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let code = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) + listen(descriptor, 8) + getsockname(descriptor, $0, &size)
      }
    }
    guard code == 0 else { throw SystemError("listen") }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { close(descriptor) }
}
