package import Observability
package import RPC
import RPCCore
import Reactor

/// Counts and times every call that is made to another service. No log line: the service called writes
/// one, and the caller's error tells the rest.
package final class ClientCallObserver: ClientInterceptor {
  private let calls: CallMetrics

  package init(metrics: MetricsRegistry) {
    calls = CallMetrics(metrics, prefix: "grpc_client")
  }

  package func began(_ call: OutgoingCall, in scope: RequestScope?) { calls.began(call.method) }

  package func ended(_ call: OutgoingCall) {
    calls.ended(
      call.method, call.code, since: call.begun, receivedBytes: call.receivedBytes,
      sentBytes: call.sentBytes)
  }
}
