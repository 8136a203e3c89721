package import Reactor

/// Hears what becomes of the servers of a channel, as against its calls, which are an interceptor's.
/// Called on the channel's reactor.
package protocol ChannelObserver: AnyObject {
  /// Of one connection, where the service config asks for health.
  func healthChanged(_ address: SocketAddress, _ health: ServerHealth)
}

/// Whether a server says that it can take calls.
package enum ServerHealth: Sendable, Equatable {
  /// It has not said yet.
  case unknown
  case serving
  case notServing(reason: String)
  /// It has no health service, and counts as serving.
  case notTold
}
