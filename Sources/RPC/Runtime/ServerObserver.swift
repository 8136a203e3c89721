import HTTP2
package import Reactor

/// Hears what becomes of a server's connections, as against its calls, which are an interceptor's.
/// Called on the loop, and not for what happens all the time: that is in `Server.traffic`.
package protocol ServerObserver: AnyObject {
  /// A client has connected, the TLS handshake done.
  func connectionOpened()
  /// Also for connections that were never opened.
  func connectionEnded(_ end: ServerConnectionEnd)
  /// One that its address has too many of (`Listener.Limits.connectionsPerAddress`), before anything was
  /// read from it.
  func connectionRefused(_ peer: SocketAddress)
  func callRefused(_ refusal: ServerRefusal)
}

/// Why a call was refused before its handler began.
package enum ServerRefusal: String, CaseIterable, Sendable {
  case callsInProgress = "calls_in_progress"
  case abandonedHandlers = "abandoned_handlers"
  // What is no call of ours, and so in no metric of a method.
  case headersTooLarge = "headers_too_large"
  case notGRPC = "not_grpc"
  case malformedField = "malformed_field"
  case unknownMethod = "unknown_method"
  case unknownEncoding = "unknown_encoding"
}

/// How a client's connection ended.
package struct ServerConnectionEnd: Sendable {
  package enum Cause: Sendable, Equatable {
    /// By the client, its age, or the server's own end.
    case closed
    /// Lost on the way.
    case lost(detail: String)
    /// Ended by us, in a few words such as `too_many_resets`.
    case cutOff(reason: String)
    /// Never opened: the TLS handshake failed or took too long.
    case handshakeFailed(reason: String, detail: String)
  }

  package let cause: Cause
  /// Whether `connectionOpened` was called for it.
  package let wasOpened: Bool
  package let peer: SocketAddress?
  package let peerIdentity: PeerIdentity?

  init(_ connection: HTTP2Connection?, _ end: ConnectionEnd) {
    peer = connection?.peer
    peerIdentity = connection?.peerIdentity
    wasOpened = connection?.session != nil
    cause =
      wasOpened
      ? ServerConnectionEnd.cause(end, cutOff: connection?.cutOffReason)
      : ServerConnectionEnd.cause(beforeOpening: end)
  }

  private static func cause(beforeOpening end: ConnectionEnd) -> Cause {
    switch end {
    case .closedHere: .closed
    case .closedByPeer: .handshakeFailed(reason: "closed", detail: "the client closed it")
    case .timedOut: .handshakeFailed(reason: "timed_out", detail: "the client took too long")
    case .failed(let error):
      .handshakeFailed(reason: (error as? TLSError)?.reason.name ?? "lost", detail: "\(error)")
    }
  }

  private static func cause(_ end: ConnectionEnd, cutOff reason: String?) -> Cause {
    if let reason { return .cutOff(reason: reason) }
    switch end {
    case .closedByPeer, .closedHere: return .closed
    case .failed(let error): return .lost(detail: "\(error)")
    case .timedOut(let what): return .cutOff(reason: "timed out: \(what)")
    }
  }
}
