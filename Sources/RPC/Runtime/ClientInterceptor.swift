package import Observability
package import RPCCore
package import Reactor

/// What a channel does around each of its calls, of whatever kind: credentials, logging, metrics and
/// tracing are interceptors, nothing else.
///
/// Neither method waits or changes the outcome, which keeps a call free of closures and allocations: a
/// credential that must be fetched is kept fresh beside the calls, and further attempts are the service
/// config's. Both are called on the channel's reactor.
package protocol ClientInterceptor: AnyObject {
  /// A call begins, in the task that makes it, on behalf of the request in whose `scope` that is. May add to
  /// the call's metadata.
  func began(_ call: OutgoingCall, in scope: RequestScope?)
  /// The call is over, once for every call that began, whatever ended it and however many attempts it
  /// took.
  func ended(_ call: OutgoingCall)
}

extension ClientInterceptor {
  package func began(_ call: OutgoingCall, in scope: RequestScope?) {}
  package func ended(_ call: OutgoingCall) {}
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

  func began(_ call: OutgoingCall, in scope: RequestScope?) {
    outer.began(call, in: scope)
    inner?.began(call, in: scope)
  }

  func ended(_ call: OutgoingCall) {
    inner?.ended(call)
    outer.ended(call)
  }
}

/// A call as interceptors see it.
package struct OutgoingCall {
  let call: ClientCall

  package var method: MethodDescriptor { call.method.descriptor }
  package var deadline: Instant { call.deadline }
  /// When it was made, before it waited for a connection.
  package var begun: Instant { call.begun }
  /// What all its attempts carry: the caller's metadata and what interceptors add when it begins.
  package var metadata: Metadata {
    get { call.metadata }
    nonmutating _modify { yield &call.metadata }
  }

  // MARK: Once it is over

  /// OK, or how the call failed.
  package var status: RPCError { call.failure ?? RPCError(.ok, "") }
  package var code: StatusCode { call.failure?.code ?? .ok }
  package var initialMetadata: Metadata { call.initialMetadata }
  package var trailingMetadata: Metadata { call.trailingMetadata }
  /// How many times the call was made; none if there was no connection.
  package var attempts: Int { Int(call.attempts.made) }
  /// Bytes of messages, as they are on the wire. What is sent again counts once.
  package var receivedBytes: Int { call.receivedBytes }
  package var sentBytes: Int { call.sentBytes }
}
