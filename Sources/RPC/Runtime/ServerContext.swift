package import Observability
package import RPCCore
package import Reactor

/// What a handler knows about its call besides the request.
package struct ServerContext {
  let call: ServerCall

  package var method: MethodDescriptor { call.method.descriptor }
  /// What the client sent beside the message.
  package var metadata: Metadata { call.metadata }
  /// When the client gives up. Calls made while serving this one inherit it.
  package var deadline: Instant { call.deadline }
  /// The time of the turn in which the call's headers came.
  package var received: Instant { call.received }
  /// Who the client proved to be in the TLS handshake; nil on a connection without one.
  package var peerIdentity: PeerIdentity? { call.connection.peerIdentity }
  package var peerAddress: SocketAddress? { call.connection.peer }
  package var reactor: Reactor { call.connection.server.reactor }

  /// What the handler finds as `RequestContext.current`. For interceptors to set when they begin.
  package var requestContext: RequestContext? {
    get { call.scope?.context }
    nonmutating set { enter(RequestScope(context: newValue, deadline: deadline.nanoseconds)) }
  }

  /// The same with the deadline, and without a copy of the context.
  package func enter(_ scope: RequestScope) { call.scope = scope }

  /// Sent before the first message of the response; later additions are not.
  package var responseMetadata: Metadata {
    get { call.responseMetadata }
    nonmutating set { call.responseMetadata = newValue }
  }

  /// Sent after the last message.
  package var trailingMetadata: Metadata {
    get { call.trailingMetadata }
    nonmutating set { call.trailingMetadata = newValue }
  }

  /// Bytes of messages received and sent so far, as they are on the wire.
  package var receivedBytes: Int { call.receivedBytes }
  package var sentBytes: Int { call.sentBytes }

  /// Whether the request message that was taken last came compressed.
  package var requestWasCompressed: Bool { call.requestWasCompressed }

  /// Compresses the messages of the response, where the client accepts that. To be set before the
  /// first of them is sent.
  package var compressesResponses: Bool {
    get { call.compressesResponses }
    nonmutating set { call.compressesResponses = newValue }
  }

  /// Values that interceptors leave for the handler, one of each type.
  package subscript<Value>(_ type: Value.Type) -> Value? {
    get { call.values[ObjectIdentifier(type)] as? Value }
    nonmutating set { call.values[ObjectIdentifier(type)] = newValue }
  }
}

/// Stands around every handler: authentication, logging, metrics and tracing are interceptors. They do
/// not wait, which spares each call a closure and a suspension a layer.
package protocol ServerInterceptor: AnyObject {
  /// Before the handler. Throws an `RPCError` to refuse the call, which then goes no further.
  func begin(_ context: ServerContext) throws
  /// After the handler, if `begin` has returned. `error` is the outcome of the call, nil where it went
  /// well: what the handler or an interceptor has thrown, or the deadline or cancellation that has
  /// ended the call before.
  func end(_ context: ServerContext, _ error: (any Error)?)
  /// Instead of both, for a call that ended before its handler could begin.
  func refused(_ context: ServerContext, _ error: RPCError)
}

extension ServerInterceptor {
  package func end(_ context: ServerContext, _ error: (any Error)?) {}
  package func refused(_ context: ServerContext, _ error: RPCError) {}
}

/// Interceptors one around the other. No array: to take one out of that costs more than most of them do.
final class ServerInterceptors {
  private let outer: any ServerInterceptor
  private let inner: ServerInterceptors?

  private init(_ outer: any ServerInterceptor, around inner: ServerInterceptors?) {
    self.outer = outer
    self.inner = inner
  }

  /// `interceptors` from the outermost to the innermost; nil where there are none.
  static func chain(_ interceptors: [any ServerInterceptor]) -> ServerInterceptors? {
    interceptors.reversed().reduce(nil) { ServerInterceptors($1, around: $0) }
  }

  /// Counts in `begun` those that have returned.
  func begin(_ context: ServerContext, _ begun: inout Int) throws {
    try outer.begin(context)
    begun += 1
    try inner?.begin(context, &begun)
  }

  /// Of the outermost `begun`, the innermost first.
  func end(_ context: ServerContext, _ error: (any Error)?, _ begun: Int) {
    if begun > 1 { inner?.end(context, error, begun - 1) }
    outer.end(context, error)
  }

  func refused(_ context: ServerContext, _ error: RPCError) {
    outer.refused(context, error)
    inner?.refused(context, error)
  }
}
