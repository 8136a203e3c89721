package import Logging
package import Observability
package import RPC
import RPCCore
import Reactor

/// Counts and times every call, and writes one log line for each.
package final class CallObserver: ServerInterceptor {
  private let logger: Logger
  private let calls: CallMetrics

  package init(logger: Logger, metrics: MetricsRegistry) {
    self.logger = logger
    calls = CallMetrics(metrics, prefix: "grpc_server")
  }

  package func intercept(
    _ context: ServerContext, _ next: () async throws -> Void
  ) async throws {
    let path = context.method.path
    let begin = Instant.now()
    calls.began(path)
    var outcome = RPCError(.ok, "")
    defer {
      let elapsed = Instant.now() - begin
      calls.ended(path, outcome.code, after: elapsed)
      log(context, outcome, elapsed)
    }
    do {
      try await next()
    } catch let error as RPCError {
      outcome = error
      throw error
    } catch is CancellationError {
      outcome = RPCError(.cancelled, "the call was cancelled")
      throw outcome
    } catch {
      // The caller is told no more than that; the log has the cause.
      logger.error(
        "call failed unexpectedly", metadata: ["cause": "\(error)", "method": "\(path)"])
      outcome = RPCError(.unknown, "internal error")
      throw outcome
    }
  }

  private func log(_ context: ServerContext, _ outcome: RPCError, _ elapsed: Duration) {
    var metadata: Logger.Metadata = [
      "method": "\(context.method.path)",
      "code": "\(outcome.code.name)",
      "duration_us": "\(elapsed.nanosecondsSaturating / 1000)",
    ]
    if let peer = context.peerIdentity?.spiffe { metadata["peer"] = "\(peer)" }
    if outcome.code != .ok { metadata["reason"] = "\(outcome.message)" }
    logger.info("call", metadata: metadata)
  }
}
