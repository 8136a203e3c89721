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
  /// Who the client proved to be in the TLS handshake; nil on a connection without one.
  package var peerIdentity: PeerIdentity? { call.connection.peerIdentity }
  package var peerAddress: SocketAddress? { call.connection.peer }
  package var reactor: Reactor { call.connection.server.reactor }

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

/// Stands around every handler: authentication, logging, metrics and tracing are interceptors.
package protocol ServerInterceptor: AnyObject {
  /// Calls `next` once to go on, or throws an `RPCError` to refuse. What `next` throws is the
  /// outcome of the call.
  func intercept(_ context: ServerContext, _ next: () async throws -> Void) async throws
}

/// The deadline of the call that is being served, for the calls made on its behalf.
package enum CallDeadline {
  @TaskLocal package static var current: Instant?
}
