import Configuration
import Postgres

extension Service {
  /// Delivers the events of the service's outbox to audit from now on, until the service has stopped.
  package func deliverOutbox() throws {
    let channel = try channel(to: .audit, at: configuration[PlatformSettings.auditAddress])
    let delivery = OutboxDelivery(
      schema: identity.rawValue, pool: try pool(.worker), channel: channel, logger: logger,
      metrics: metrics)
    try delivery.start(listener: listener())
    onStop { await delivery.stop() }
  }
}
