import Contracts
import Cryptography
import Logging
import Protobuf
import RPCCore
import Reactor
import ServiceRuntime
import Transcoding

/// Creates stores, one in a while for a tenant. A creation counts when the provisioner takes it; one
/// that is refused leaves nothing behind.
final class StoreCreation: Backend {
  private let provisioner: any Backend
  private let cooldown: StoreCooldown
  private let databaseTimeout: Duration
  private let metrics: EdgeMetrics
  private let logger: Logger

  init(
    _ provisioner: any Backend, _ cooldown: StoreCooldown, databaseTimeout: Duration,
    metrics: EdgeMetrics, logger: Logger
  ) {
    self.provisioner = provisioner
    self.cooldown = cooldown
    self.databaseTimeout = databaseTimeout
    self.metrics = metrics
    self.logger = logger
  }

  func unary(_ message: [UInt8], for exchange: EdgeExchange) async throws -> [UInt8] {
    guard let tenant = exchange.caller?.principal.tenant, cooldown.duration > .zero,
      let request = try? ProvisionerV1.CreateStoreRequest(serialized: message),
      !request.validateOnly
    else {
      // Nothing that could be created, or a request that the provisioner has to refuse.
      return try await provisioner.unary(message, for: exchange)
    }
    let verdict = try await cooldown.reserve(
      tenant: tenant, requestID: Self.identity(of: request),
      deadline: min(exchange.deadline, .now() + databaseTimeout))
    switch verdict {
    case .repeated: return try await provisioner.unary(message, for: exchange)
    case .denied(let wait): throw refusal(max(1, wait.wholeSecondsUp), exchange)
    case .reserved(let reservation):
      do {
        return try await provisioner.unary(message, for: exchange)
      } catch {
        if Self.isRefusal(error) { await cancel(reservation) }
        throw error
      }
    }
  }

  /// What makes a creation the same one again: the client's id for it, of a store of that name, which
  /// is created once. With the id alone, one id would do for any number of stores.
  private static func identity(of request: ProvisionerV1.CreateStoreRequest) -> String? {
    if request.requestID.isEmpty { return nil }
    return Base64.url.encode(SHA256.digest(Array("\(request.requestID)\0\(request.name)".utf8)))
  }

  /// Whether the error says that nothing was created. After others it may have been.
  private static func isRefusal(_ error: any Error) -> Bool {
    guard let error = error as? RPCError else { return false }
    switch error.code {
    case .unavailable where error.errorInfo?.reason == "OUTCOME_UNKNOWN": return false
    case .ok, .deadlineExceeded, .cancelled, .unknown, .internal, .dataLoss: return false
    default: return true
    }
  }

  private func cancel(_ reservation: StoreCooldown.Reservation) async {
    do {
      try await cooldown.cancel(reservation, deadline: .now() + databaseTimeout)
    } catch {
      logger.warning(
        "a refused creation still counts for the cooldown", metadata: ["cause": "\(error)"])
    }
  }

  private func refusal(_ seconds: Int64, _ exchange: EdgeExchange) -> Refusal {
    metrics.rateLimited(by: "store-creation")
    var refusal = Refusal.quotaExceeded(
      "a tenant may create a store every \(cooldown.duration.wholeSecondsUp) s; wait "
        + "\(seconds) s",
      reason: "STORE_CREATION_COOLDOWN", retryAfterSeconds: seconds, exchange)
    refusal.problem.metadata = ["policy": "store-creation"]
    return refusal
  }
}
