import HTTP2
package import Logging
package import Observability
package import RPC
package import Reactor
import Resilience

/// Counts what becomes of a server's connections, and logs those that did not end well.
package final class ConnectionObserver: ServerObserver {
  /// Anybody can have such lines written: no more than this of them are.
  private static let linesRate = TokenBucket.Rate(tokens: 5, per: .seconds(1), burst: 50)

  private let logger: Logger
  private let open: Gauge
  private let opened: Counter
  private let cutOffs: Family<Counter>
  private let handshakeFailures: Family<Counter>
  private let refusedConnections: Counter
  private let refusals: Family<Counter>
  private let unloggedEnds: Counter
  private var lines: TokenBucket

  package init(_ server: Server, logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    open = metrics.gauge("grpc_server_connections", help: "Connections open.")
    opened = metrics.counter("grpc_server_connections_total", help: "Connections opened.")
    cutOffs = metrics.counters(
      "grpc_server_cut_offs_total", help: "Connections that were ended for what the client did.",
      labels: ["reason"])
    handshakeFailures = metrics.counters(
      "grpc_server_handshake_failures_total", help: "Connections whose TLS handshake failed.",
      labels: ["reason"])
    refusedConnections = metrics.counter(
      "grpc_server_refused_connections_total",
      help: "Connections closed at once since their address has too many.")
    refusals = metrics.counters(
      "grpc_server_refused_total", help: "Calls refused before their handler began.",
      labels: ["reason"])
    unloggedEnds = metrics.counter(
      "grpc_server_unlogged_ends_total", help: "Ends of connections with too many lines to log one."
    )
    lines = TokenBucket(rate: Self.linesRate, at: Self.now())
    // Scrapes are on the server's reactor.
    nonisolated(unsafe) let watched = server
    metrics.collect { ConnectionObserver.samples(watched) }
  }

  private static func samples(_ server: Server) -> [MetricsRegistry.Sample] {
    let traffic = server.traffic
    return [
      .counter("grpc_server_streams_total", help: "Streams opened.", Double(traffic.streams)),
      .counter(
        "grpc_server_resets_received_total", help: "Streams that clients reset.",
        Double(traffic.receivedResets)),
      .counter(
        "grpc_server_resets_sent_total", help: "Streams that the server reset.",
        Double(traffic.sentResets)),
      .counter(
        "grpc_server_received_bytes_total", help: "Bytes of HTTP/2 received, before TLS.",
        Double(traffic.receivedBytes)),
      .counter(
        "grpc_server_sent_bytes_total", help: "Bytes of HTTP/2 sent, before TLS.",
        Double(traffic.sentBytes)),
    ]
  }

  private static func now() -> MonotonicInstant {
    MonotonicInstant(nanoseconds: Int64(Instant.now().nanoseconds))
  }

  package func connectionOpened() {
    opened.increment()
    open.add(1)
  }

  package func connectionEnded(_ end: ServerConnectionEnd) {
    if case .handshakeFailed(let reason, let detail) = end.cause {
      handshakeFailures.with(reason).increment()
      return log("handshake failed", end.peer, end.peerIdentity, reason, detail)
    }
    if end.wasOpened { open.add(-1) }
    if case .cutOff(let reason) = end.cause {
      cutOffs.with(reason).increment()
      log("connection cut off", end.peer, end.peerIdentity, reason)
    }
  }

  package func connectionRefused(_ peer: SocketAddress) {
    refusedConnections.increment()
    log("connection refused", peer, nil, "too many connections of its address")
  }

  package func callRefused(_ refusal: ServerRefusal) {
    refusals.with(refusal.rawValue).increment()
  }

  private func log(
    _ message: Logger.Message, _ peer: SocketAddress?, _ identity: PeerIdentity?,
    _ reason: String, _ detail: String = ""
  ) {
    guard case .allowed = lines.take(at: Self.now()).verdict else {
      return unloggedEnds.increment()
    }
    var metadata: Logger.Metadata = ["reason": "\(reason)"]
    if !detail.isEmpty { metadata["detail"] = "\(detail)" }
    if let peer { metadata["address"] = "\(peer)" }
    if let identity = identity?.spiffe { metadata["peer"] = "\(identity)" }
    logger.warning(message, metadata: metadata)
  }
}
