package import RPCCore
package import Reactor

/// What a channel does around each of its calls, of whatever kind: credentials, logging, metrics and
/// tracing are interceptors, nothing else.
///
/// Neither method waits or changes the outcome, which keeps a call free of closures and allocations: a
/// credential that must be fetched is kept fresh beside the calls, and further attempts are the service
/// config's. Both are called on the channel's reactor.
package protocol ClientInterceptor: AnyObject {
  /// A call begins, in the task that makes it, so that task-local values are those of its caller. May
  /// add to the call's metadata.
  func began(_ call: inout OutgoingCall)
  /// The call is over, once for every call that began, whatever ended it and however many attempts it
  /// took.
  func ended(_ call: OutgoingCall, _ end: CallEnd)
}

extension ClientInterceptor {
  package func began(_ call: inout OutgoingCall) {}
  package func ended(_ call: OutgoingCall, _ end: CallEnd) {}
}

/// Interceptors one around the other; see `ServerInterceptors`.
final class ClientInterceptors {
  private let outer: any ClientInterceptor
  private let inner: ClientInterceptors?

  private init(_ outer: any ClientInterceptor, around inner: ClientInterceptors?) {
    self.outer = outer
    self.inner = inner
  }

  /// `interceptors` from the outermost to the innermost; nil where there are none.
  static func chain(_ interceptors: [any ClientInterceptor]) -> ClientInterceptors? {
    interceptors.reversed().reduce(nil) { ClientInterceptors($1, around: $0) }
  }

  func began(_ call: inout OutgoingCall) {
    outer.began(&call)
    inner?.began(&call)
  }

  func ended(_ call: OutgoingCall, _ end: CallEnd) {
    inner?.ended(call, end)
    outer.ended(call, end)
  }
}

/// A call as interceptors see it.
package struct OutgoingCall {
  let callee: ClientMethod
  package var method: MethodDescriptor { callee.descriptor }
  package let deadline: Instant
  /// When it was made, before it waited for a connection.
  package let begun: Instant
  /// What all its attempts carry: the caller's metadata and what interceptors have added.
  package var metadata: Metadata
}

/// What became of a call.
package struct CallEnd {
  let call: ClientCall

  /// OK, or how the call failed.
  package var status: RPCError { call.failure ?? RPCError(.ok, "") }
  package var code: StatusCode { call.failure?.code ?? .ok }
  package var initialMetadata: Metadata { call.initialMetadata }
  package var trailingMetadata: Metadata { call.trailingMetadata }
  /// How many times the call was made; none if there was no connection.
  package var attempts: Int { call.attempts.made }
  /// Bytes of messages, as they are on the wire. What is sent again counts once.
  package var receivedBytes: Int { call.receivedBytes }
  package var sentBytes: Int { call.sentBytes }
}
