/// A request's context as plain strings, for a row or a message: an operation keeps the id and the
/// trace of the request that started it, long after that request was answered.
package struct StoredRequestContext: Sendable, Hashable {
  package var requestID: String
  package var traceparent: String?
  package var tracestate: String?
  package var tenant: String?
  package var store: String?
  package var operation: String?
  package var principal: String?

  package init(
    requestID: String, traceparent: String? = nil, tracestate: String? = nil,
    tenant: String? = nil, store: String? = nil, operation: String? = nil, principal: String? = nil
  ) {
    self.requestID = requestID
    self.traceparent = traceparent
    self.tracestate = tracestate
    self.tenant = tenant
    self.store = store
    self.operation = operation
    self.principal = principal
  }

  package init(_ context: RequestContext) {
    self.init(
      requestID: context.requestID.text, traceparent: context.trace?.traceparent,
      tracestate: context.trace.flatMap { $0.state.text.isEmpty ? nil : $0.state.text },
      tenant: context.tenant, store: context.store, operation: context.operation,
      principal: context.principal)
  }
}

extension RequestContext {
  /// Takes a stored context up again. Work is not refused for a damaged trace: a bad `traceparent`
  /// gives no trace, a bad request id a new one from `generator`.
  package init(
    restoring stored: StoredRequestContext, using generator: inout some RandomNumberGenerator
  ) {
    self.init(
      requestID: RequestID(stored.requestID) ?? RequestID(using: &generator),
      trace: stored.traceparent.flatMap {
        TraceContext(traceparent: $0, tracestate: stored.tracestate)
      },
      tenant: stored.tenant, store: stored.store, operation: stored.operation,
      principal: stored.principal)
  }
}
