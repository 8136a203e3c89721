package import Logging
package import Observability
package import RPC
package import RPCCore
import Reactor

/// Counts and times every call, and writes one log line for each.
package final class CallObserver: ServerInterceptor {
  private let logger: Logger
  private let calls: CallMetrics
  /// To ask the logger each time would copy it.
  private let logsCalls: Bool

  package init(logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    logsCalls = logger.logLevel <= .info
    calls = CallMetrics(metrics, prefix: "grpc_server")
  }

  package func begin(_ context: ServerContext) { calls.began(context.method) }

  package func end(_ context: ServerContext, _ error: (any Error)?) {
    if let error, !(error is RPCError), !(error is CancellationError) {
      // The caller is told no more than that; the log has the cause.
      within(context) {
        logger.error(
          "call failed unexpectedly",
          metadata: ["cause": "\(error)", "method": "\(context.method.path)"])
      }
    }
    let failure = error.map { RPCError($0) }
    calls.ended(
      context.method, failure?.code ?? .ok, since: context.received,
      receivedBytes: context.receivedBytes, sentBytes: context.sentBytes)
    if logsCalls { log(context, failure) }
  }

  package func refused(_ context: ServerContext, _ error: RPCError) {
    begin(context)
    end(context, error)
  }

  private func log(_ context: ServerContext, _ error: RPCError?) {
    let elapsed = Instant.now() - context.received
    var metadata: Logger.Metadata = [
      "method": "\(context.method.path)",
      "code": "\((error?.code ?? .ok).name)",
      "duration_us": "\(elapsed.nanosecondsSaturating / 1000)",
    ]
    if let peer = context.peerIdentity?.spiffe { metadata["peer"] = "\(peer)" }
    if let error { metadata["reason"] = "\(error.message)" }
    within(context) { logger.info("call", metadata: metadata) }
  }

  /// Has what is logged carry the call's request id.
  private func within(_ context: ServerContext, _ write: () -> Void) {
    if let request = context.requestContext { request.run(write) } else { write() }
  }
}
