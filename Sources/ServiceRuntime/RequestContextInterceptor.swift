import Observability
package import RPC
import RPCCore

/// Gives every call a request id and a trace: those the caller sent, or new ones. Calls to other
/// services carry them on.
package final class RequestContextInterceptor: ServerInterceptor, ClientInterceptor {
  /// The metadata, and HTTP header, that carries the request id.
  package static let requestIDName = "x-request-id"

  package init() {}

  package func intercept(
    _ context: ServerContext, _ next: () async throws -> Void
  ) async throws {
    var generator = SystemRandomNumberGenerator()
    let metadata = context.metadata
    let requestID =
      metadata[Self.requestIDName].flatMap { RequestID($0) } ?? RequestID(using: &generator)
    let received = metadata["traceparent"].flatMap {
      TraceContext(traceparent: $0, tracestate: metadata["tracestate"])
    }
    let trace =
      received?.child(using: &generator)
      ?? TraceContext.root(isSampled: true, using: &generator)
    context.responseMetadata.append(Self.requestIDName, requestID.text)
    try await RequestContext(requestID: requestID, trace: trace).run(next)
  }

  package func began(_ call: inout OutgoingCall) {
    guard let context = RequestContext.current else { return }
    call.metadata.append(Self.requestIDName, context.requestID.text)
    if let trace = context.trace {
      call.metadata.append("traceparent", trace.traceparent)
      if !trace.state.text.isEmpty { call.metadata.append("tracestate", trace.state.text) }
    }
  }
}
