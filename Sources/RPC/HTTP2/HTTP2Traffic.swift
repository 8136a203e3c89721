/// What has passed on a connection, in frames and bytes of HTTP/2.
package struct HTTP2Traffic: Sendable, Equatable {
  package internal(set) var receivedBytes = 0
  package internal(set) var sentBytes = 0
  /// Opened by the peer.
  package internal(set) var streams = 0
  /// RST_STREAM frames; NO_ERROR, which ends a response that needs no more of its request, is none.
  package internal(set) var receivedResets = 0
  package internal(set) var sentResets = 0
  /// The code of our last GOAWAY.
  var sentGoaway: HTTP2ErrorCode?

  package init() {}

  package static func += (sum: inout HTTP2Traffic, more: HTTP2Traffic) {
    sum.receivedBytes += more.receivedBytes
    sum.sentBytes += more.sentBytes
    sum.streams += more.streams
    sum.receivedResets += more.receivedResets
    sum.sentResets += more.sentResets
  }
}
