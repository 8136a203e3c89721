import CLinux
import Glibc

/// One event loop as one actor: it owns its connections, its database pool and its client channels.
///
/// Protocol code is made of plain classes that are not `Sendable`: they are created by code that is
/// isolated to a reactor and never leave it. The loop calls them synchronously; they start
/// asynchronous work with `spawn`, which stays on the loop's thread.
package actor Reactor {
  package nonisolated let loop: EventLoop

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    loop.asUnownedSerialExecutor()
  }

  /// A reactor on the thread that will call `loop.run()`.
  package init() throws(SystemError) {
    loop = try EventLoop()
  }

  /// A reactor that runs on a thread of its own until `loop.stop()`.
  package static func start(name: String) throws(SystemError) -> Reactor {
    let reactor = try Reactor()
    try startThread(name: name) { reactor.loop.run() }
    return reactor
  }

  /// Starts `body` on the reactor from code that is not asynchronous. Detached: `main` is isolated to
  /// the main actor, whose thread runs the loop instead of its jobs.
  package nonisolated func launch(_ body: @escaping @Sendable (isolated Reactor) async -> Void) {
    Task.detached { await self.run(body) }
  }

  /// Runs `body` on the reactor; the way in from other isolations.
  ///
  /// The loop is also the task's preferred executor meanwhile: without, a continuation that is
  /// resumed goes through the global pool on its way back to the loop (30 us instead of one), and
  /// child tasks run there.
  package func run<R: Sendable, E: Error>(
    _ body: @Sendable (isolated Reactor) async throws(E) -> R
  ) async throws(E) -> R {
    try await withTaskExecutorPreference(loop) { () async throws(E) -> R in
      try await body(self)
    }
  }
}

extension EventLoop {
  /// Starts a task on this loop's reactor. It begins at once, inside the call, and goes on after the
  /// first suspension as a job of the loop. To be called on the loop's thread.
  ///
  /// `operation` may capture state that is confined to the loop: the task never leaves its thread.
  @discardableResult
  package func spawn(
    on reactor: Reactor, _ operation: @escaping () async -> Void
  ) -> Task<Void, Never> {
    checkIsolated()
    let operation = Confined(value: operation)
    return reactor.assumeIsolated { $0.begin(operation) }
  }
}

extension Reactor {
  fileprivate func begin(_ operation: Confined<() async -> Void>) -> Task<Void, Never> {
    Task.immediate(executorPreference: loop) {
      _ = self
      await operation.value()
    }
  }
}

/// Carries a value that is confined to one reactor past the compiler, where the code around it
/// stays on that reactor's thread by construction.
package struct Confined<Value>: @unchecked Sendable {
  package let value: Value
  package init(value: Value) { self.value = value }
}

/// Starts a detached POSIX thread.
func startThread(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
  final class Start {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  defer { pthread_attr_destroy(&attributes) }
  var thread = pthread_t()
  let start = Unmanaged.passRetained(Start(name: name, body: body))
  let code = pthread_create(
    &thread, &attributes,
    { argument in
      guard let argument else { return nil }
      let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
      storeplane_name_thread(String(start.name.prefix(15)))
      start.body()
      return nil
    }, start.toOpaque())
  if code != 0 {
    start.release()
    throw SystemError("pthread_create", code: code)
  }
}
