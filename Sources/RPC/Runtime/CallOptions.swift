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
  /// be made. The channel's service config decides when nil.
  package var waitForReady: Bool?
  /// Compress the messages of the request, which servers need not understand.
  package var compresses = false
  /// Takes what comes beside the messages.
  package var record: CallRecord?

  /// How the messages of the request go out.
  package var encoding: MessageEncoding { compresses ? .gzip : .identity }

  package init(
    metadata: Metadata = Metadata(), timeout: Duration? = nil, waitForReady: Bool? = nil,
    compresses: Bool = false, record: CallRecord? = nil
  ) {
    self.metadata = metadata
    self.timeout = timeout
    self.waitForReady = waitForReady
    self.compresses = compresses
    self.record = record
  }
}

package struct ChannelConfiguration: Sendable {
  package var http2 = HTTP2Limits.withRoomForAllStreams
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
  /// What the messages of one stream that nobody has read yet may take in memory, beside the first: a
  /// window's worth, compressed, can be a thousand times that.
  package var unreadResponseBytes = 32 * 1024 * 1024
  /// Retries, timeouts and load balancing.
  package var service = ServiceConfig()
  /// Bytes of a call's requests that are kept, until the response begins, to send them again.
  package var replayBytes = 1024 * 1024
  /// Connections to one address, opened one by one as the server's stream limit is reached.
  package var connectionsMax = 4
  /// Calls that may wait for a connection.
  package var waitingCalls = 1024
  /// How long `pickFirst` waits for an address to answer before it tries the next one beside it.
  package var connectionAttemptDelay: Duration = .milliseconds(250)
  /// Delay before connecting again: doubled with each failure up to `backoffMax`, ±20 %. A connection
  /// that lasted for `backoffMax`, or answered a call, was no failure.
  package var backoff: Duration = .milliseconds(100)
  package var backoffMax: Duration = .seconds(10)
  /// The name is asked for again after a connection was lost or refused, at most this often.
  package var resolutionInterval: Duration = .seconds(1)
  /// A connection with calls of which nothing was read for so long is pinged, and given up when nothing
  /// comes within `keepaliveTimeout`; never when nil. Servers cut off who pings more often than they allow, by
  /// default every five minutes.
  package var keepalive: Duration?
  package var keepaliveTimeout: Duration = .seconds(20)
  /// Calls made on one connection; their numbers run out at 2^30, and it is replaced.
  package var callsPerConnection = 1 << 30

  package init() {}

  /// How long to leave alone what has failed once more, after so many failures before.
  func delay(afterFailures count: Int) -> Duration {
    min(backoff * (1 << min(count, 16)), backoffMax) * Double.random(in: 0.8...1.2)
  }
}
