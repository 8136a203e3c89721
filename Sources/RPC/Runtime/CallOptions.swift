package import HTTP2
package import RPCCore
package import Reactor

/// What a caller may say about one call.
package struct CallOptions: Sendable {
  package var metadata = Metadata()
  /// How long the call may take; the channel's default when nil. A deadline inherited from the call
  /// being served still holds where it is earlier.
  package var timeout: Duration?
  /// Wait for a connection until the deadline, where otherwise the call fails at once when none can
  /// be made.
  package var waitForReady = false

  package init(
    metadata: Metadata = Metadata(), timeout: Duration? = nil, waitForReady: Bool = false
  ) {
    self.metadata = metadata
    self.timeout = timeout
    self.waitForReady = waitForReady
  }
}

package struct ChannelConfiguration: Sendable {
  package var http2 = HTTP2Limits()
  package var connection = ConnectionLimits()
  /// For TLS: our credentials, and whom we expect to find.
  package var tls: TLSContext?
  package var expectedServer: ExpectedServer?
  /// The `:authority` of calls.
  package var authority = "localhost"
  /// For calls that name no timeout: every call has a deadline.
  package var callTimeout: Duration = .seconds(30)
  /// The longest response message.
  package var messageBytes = 4 * 1024 * 1024
  /// Connections, opened one by one as the server's stream limit is reached.
  package var connectionsMax = 4
  /// Calls that may wait for a connection.
  package var waitingCalls = 1024
  /// Delay before connecting again: doubled with each failure up to `backoffMax`, ±20 %.
  package var backoff: Duration = .milliseconds(100)
  package var backoffMax: Duration = .seconds(10)

  package init() {}
}
