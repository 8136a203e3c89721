import Reactor

/// Ends a server's connection that has grown old or stands idle (gRFC A9): gracefully, so that no call
/// on its way is lost.
final class ConnectionLife {
  private enum Stage { case serving, noticed, leaving }

  private unowned let connection: ServerConnection
  private var stage = Stage.serving
  private var oldAt = Instant.distantFuture
  private var timer: LoopTimer?

  private var limits: ServerLimits { connection.server.limits }

  init(_ connection: ServerConnection) { self.connection = connection }

  func begin() {
    let jitter = limits.connectionAgeJitter
    oldAt = connection.loop.now + limits.connectionAge * Double.random(in: 1 - jitter...1 + jitter)
    schedule(at: min(oldAt, connection.lastUsed + limits.connectionIdle))
  }

  func end() {
    if let timer { connection.loop.cancel(timer) }
    timer = nil
  }

  private func schedule(at deadline: Instant) {
    timer = connection.loop.schedule(at: deadline) { [unowned self] in self.timePassed() }
  }

  private func timePassed() {
    timer = nil
    let now = connection.loop.now
    switch stage {
    case .serving:
      let lastUsed = connection.streamCount > 0 ? now : connection.lastUsed
      let next = min(oldAt, lastUsed + limits.connectionIdle)
      if next > now { return schedule(at: next) }
      stage = .noticed
      connection.announceShutdown()
      schedule(at: now + limits.shutdownNotice)
    case .noticed:
      stage = .leaving
      connection.shutdown()
      schedule(at: now + limits.connectionAgeGrace)
    case .leaving:
      connection.close()
    }
  }
}
