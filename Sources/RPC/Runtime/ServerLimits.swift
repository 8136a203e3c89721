package import HTTP2
package import Reactor

/// What a server takes on; each bound keeps one client, or all of them together, from taking it down.
package struct ServerLimits: Sendable {
  package var http2 = HTTP2Limits()
  package var connection = ConnectionLimits()
  package var listener = Listener.Limits()
  /// The longest request message.
  package var messageBytes = 4 * 1024 * 1024
  /// Handlers running at once, those of cancelled calls included: past it, RESOURCE_EXHAUSTED.
  package var callsInProgress = 4096
  /// How long a unary call may take when the client names no deadline, or a later one.
  package var unaryCall: Duration = .seconds(120)
  /// The same for a call that streams: clients are expected to come back and go on.
  package var streamingCall: Duration = .seconds(3600)

  package init() {}
}
