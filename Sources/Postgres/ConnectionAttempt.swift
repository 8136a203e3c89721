import CLibpq
import Reactor

/// Opens one connection: drives libpq's connect machine from the reactor.
final class ConnectionAttempt: ReadinessHandler {
  private let libpq: LibpqConnection
  private let reactor: Reactor
  private let target: String
  private var resumption: Resumption<PostgresError?>?
  private var watched: Int32?
  private var timer: LoopTimer?

  private var loop: EventLoop { reactor.loop }

  private init(libpq: LibpqConnection, reactor: Reactor, target: String) {
    self.libpq = libpq
    self.reactor = reactor
    self.target = target
  }

  /// - Returns: a connection in pipeline mode.
  static func open(
    _ configuration: PostgresConfiguration, reactor: Reactor, blocking: BlockingPool,
    deadline: Instant
  ) async throws(PostgresError) -> LibpqConnection {
    let addresses = try await HostAddresses.resolve(configuration, on: blocking)
    let libpq = try LibpqConnection(settings: configuration.connectionSettings(addresses))
    let attempt = ConnectionAttempt(
      libpq: libpq, reactor: reactor, target: configuration.description)
    let limit = min(deadline, .now() + configuration.connectTimeout)
    if let error = await attempt.finished(by: limit) { throw error }
    return libpq
  }

  private func finished(by deadline: Instant) async -> PostgresError? {
    if Task.isCancelled { return .cancelled }
    let onCancel = { self.finish(.cancelled) }
    return await suspended(on: reactor, onCancel: onCancel) {
      [self] resumption in
      self.resumption = resumption
      timer = loop.schedule(at: deadline) { [target] in
        self.finish(PostgresError(.connectFailed, "\(target): no answer within the time allowed"))
      }
      // Before the first poll libpq wants to know when the socket is writable.
      watch(for: .writable)
    }
  }

  func ready(_ readiness: Readiness) {
    // libpq may close the socket and open another with the same number.
    unwatch()
    switch libpq.connectPoll() {
    case .wantsRead: watch(for: .readable)
    case .wantsWrite: watch(for: .writable)
    case .connected: finish(libpq.enterPipeline() ? nil : failure())
    case .failed: finish(failure())
    }
  }

  private func failure() -> PostgresError {
    PostgresError(.connectFailed, "\(target): \(libpq.errorMessage)")
  }

  private func watch(for readiness: Readiness) {
    let descriptor = libpq.descriptor
    do throws(SystemError) {
      try loop.register(descriptor, for: readiness, self)
      watched = descriptor
    } catch {
      finish(PostgresError(.connectFailed, "\(target): \(error)"))
    }
  }

  private func unwatch() {
    if let watched { loop.deregister(watched) }
    watched = nil
  }

  private func finish(_ error: PostgresError?) {
    guard let resumption else { return }
    self.resumption = nil
    unwatch()
    if let timer { loop.cancel(timer) }
    timer = nil
    resumption.resume(error)
  }
}
