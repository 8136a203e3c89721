import Glibc
package import Observability
package import RPC
package import RPCCore
import Reactor

/// Gives every call a request id and a trace: those the caller sent, or new ones. Calls to other
/// services carry them on.
package final class RequestContextInterceptor: ServerInterceptor, ClientInterceptor {
  /// The metadata, and HTTP header, that carries the request id.
  package static let requestIDName = "x-request-id"

  private var generator = PooledRandomNumbers()

  package init() {}

  package func begin(_ context: ServerContext) {
    var received: TraceContext?
    var sent: RequestID?
    var (hasTrace, hasState, hasID) = (false, false, false)
    let metadata = context.metadata
    // All in one pass; of several the first counts.
    metadata.readAll { name, value in
      switch name.count {
      case 10 where name.equals("tracestate"): hasState = true
      case 11 where !hasTrace && name.equals("traceparent"):
        hasTrace = true
        received = TraceContext(traceparent: value)
      case 12 where !hasID && name.equals("x-request-id"):
        hasID = true
        sent = RequestID(value)
      default: break
      }
    }
    if hasState, received != nil {
      metadata.withValue(of: "traceparent") {
        received = TraceContext(traceparent: $0, tracestate: metadata["tracestate"])
      }
    }
    let trace =
      received?.child(using: &generator) ?? TraceContext.root(isSampled: true, using: &generator)
    let requestID = sent ?? RequestID(using: &generator)
    // Who sent one knows it.
    if sent == nil { context.responseMetadata.append(Self.requestIDName, requestID.text) }
    context.enter(
      RequestScope(
        context: RequestContext(requestID: requestID, trace: trace),
        deadline: context.deadline.nanoseconds))
  }

  package func refused(_ context: ServerContext, _ error: RPCError) { begin(context) }

  package func began(_ call: OutgoingCall, in scope: RequestScope?) {
    // Only what is sent is taken out of the context, which has more.
    guard let requestID = scope?.context?.requestID else { return }
    requestID.withText { call.metadata.append(checked: "x-request-id", $0) }
    if let trace = scope?.context?.trace {
      trace.withTraceparent { call.metadata.append(checked: "traceparent", $0) }
      if !trace.state.text.isEmpty { call.metadata.append("tracestate", trace.state.text) }
    }
  }
}

/// The system's random numbers, many at a time: asking for some is a system call.
private struct PooledRandomNumbers: RandomNumberGenerator {
  /// 256 bytes, the most that `getentropy` gives at once.
  private static let poolCount = 32
  private var pool: [UInt64] = []

  mutating func next() -> UInt64 {
    if let number = pool.popLast() { return number }
    pool = Array(repeating: 0, count: Self.poolCount)
    let code = pool.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) }
    precondition(code == 0, "the system has no random numbers")
    return pool.removeLast()
  }
}
