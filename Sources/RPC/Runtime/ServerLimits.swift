package import HTTP2
package import Reactor

/// What a server takes on; each bound keeps one client, or all of them together, from taking it down.
package struct ServerLimits: Sendable {
  /// Bytes of an error's message, percent-encoded, and of its details, as clients get them.
  package static let statusMessageBytesMax = 2 * 1024
  package static let statusDetailsBytesMax = 3 * 1024
  /// What an open call counts among the bytes held, beside its metadata and messages: the structures of
  /// nghttp2 and ours, and the task that its handler waits in.
  package static let callBytes = 4 * 1024
  package var http2 = HTTP2Limits.withRoomForAllStreams
  package var connection = ConnectionLimits()
  package var listener = Listener.Limits()
  /// The longest request message.
  package var messageBytes = 4 * 1024 * 1024
  /// Handlers running at once, those of cancelled calls included: past it, RESOURCE_EXHAUSTED.
  package var callsInProgress = 4096
  /// The same for the connections of one client by its IP address.
  package var callsInProgressPerAddress = 3072
  /// Handlers of one connection that go on after their call was ended (Rapid Reset, deadlines): past
  /// it, RESOURCE_EXHAUSTED. All of a connection's calls may end at once.
  package var abandonedCallsPerConnection = 256
  /// When a client that was refused for one of these two may come again, give or take half, so that
  /// those refused together do not come together (`grpc-retry-pushback-ms`, gRFC A6).
  package var retryPushback: Duration = .milliseconds(200)
  /// Bytes held for one connection, for those of one IP address, and for all: requests being received or
  /// handled, responses that the client does not take, and of each open call `callBytes` and its metadata.
  /// Past it, RESOURCE_EXHAUSTED.
  package var heldBytesPerConnection = 96 * 1024 * 1024
  package var heldBytesPerAddress = 192 * 1024 * 1024
  package var heldBytes = 256 * 1024 * 1024
  /// Bytes that the compressed messages of one IP address's clients may come to: past it, its
  /// connections are not read for a while, and what was read already is RESOURCE_EXHAUSTED.
  package var inflatedBytes = RateLimit(burst: 16 * 1024 * 1024, perSecond: 64 * 1024 * 1024)
  /// IP addresses without a connection of which is remembered what their handlers and bytes still count
  /// for; past it, they begin anew when they come again.
  package var departedAddresses = 4096
  /// How long a unary call may take, its response taken by the client, when the client names no
  /// deadline, or a later one.
  package var unaryCall: Duration = .seconds(120)
  /// The same for a call that streams: clients are expected to come back and go on.
  package var streamingCall: Duration = .seconds(3600)
  /// How long a client may take over the status of a call whose deadline has passed, before the stream
  /// is reset.
  package var statusGrace: Duration = .seconds(1)
  /// After so long, give or take `connectionAgeJitter`, a connection takes no more calls (gRFC A9):
  /// clients connect again, to new replicas too.
  package var connectionAge: Duration = .seconds(1800)
  package var connectionAgeJitter = 0.1
  /// How long the calls of an old connection may still take: as long as any may.
  package var connectionAgeGrace: Duration = .seconds(3600)
  /// A client with calls of which nothing was read for so long is sent a PING, and cut off when it says
  /// nothing for `keepaliveTimeout` either: it went without a word, and its calls would be held until
  /// their deadline.
  package var keepalive: Duration = .seconds(60)
  package var keepaliveTimeout: Duration = .seconds(20)
  /// A connection without a call for so long is closed.
  package var connectionIdle: Duration = .seconds(900)
  /// Between the two steps of a graceful end, longer than a round trip within a data centre: first the
  /// client is told to open no more streams, then which are not served.
  package var shutdownNotice: Duration = .milliseconds(200)

  package init() {}

  /// With a quarter of what memory there is for messages, where that is less than the default.
  ///
  /// - Parameter memoryBytes: what the process may have; nil without a limit.
  package init(memoryBytes: Int?) {
    guard let memoryBytes else { return }
    heldBytes = min(heldBytes, memoryBytes / 4)
    heldBytesPerAddress = min(heldBytesPerAddress, heldBytes / 4 * 3)
    heldBytesPerConnection = min(heldBytesPerConnection, heldBytes / 2)
  }
}
