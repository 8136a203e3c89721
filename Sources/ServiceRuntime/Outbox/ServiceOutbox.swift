import Configuration
package import Postgres
package import RPC

extension Service {
  /// Delivers the events of the service's outbox to audit from now on, until the service has stopped.
  ///
  /// - Parameters:
  ///   - worker: a pool of the worker role.
  ///   - audit: a channel that the service has already; one is made otherwise.
  package func deliverOutbox(by worker: PostgresPool, to audit: Channel? = nil) throws {
    let address = configuration[PlatformSettings.auditAddress]
    let delivery = OutboxDelivery(
      schema: identity.rawValue, pool: worker,
      channel: try audit ?? channel(to: .audit, at: address), logger: logger, metrics: metrics)
    try delivery.start(listener: listener())
    onStop { await delivery.stop() }
  }
}
