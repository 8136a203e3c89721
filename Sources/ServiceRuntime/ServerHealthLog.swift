import Logging
import RPC
import Reactor

/// Logs which servers of another service are given calls, where the service config asks for their health.
final class ServerHealthLog: ChannelObserver {
  private let service: ServiceIdentity
  private let logger: Logger

  init(of service: ServiceIdentity, logger: Logger) {
    self.service = service
    self.logger = logger
  }

  func healthChanged(_ address: SocketAddress, _ health: ServerHealth) {
    switch health {
    case .unknown: break
    case .serving: log(.info, "healthy: takes calls", address)
    case .notServing(let reason): log(.warning, "not healthy: gets no calls", address, reason)
    case .notTold: log(.warning, "has no health service: gets calls unasked", address)
    }
  }

  private func log(
    _ level: Logger.Level, _ message: Logger.Message, _ address: SocketAddress,
    _ reason: String? = nil
  ) {
    var metadata: Logger.Metadata = ["service": "\(service.rawValue)", "server": "\(address)"]
    if let reason { metadata["reason"] = "\(reason)" }
    logger.log(level: level, message, metadata: metadata)
  }
}
