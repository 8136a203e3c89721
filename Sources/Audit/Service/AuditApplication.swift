import Contracts
import Postgres
package import ServiceRuntime

/// Puts the audit service together.
package enum AuditApplication {
  package static func start(_ service: Service) throws {
    let limits = AuditLimits()
    let application = try service.pool(.application)
    let hub = TailHub(
      pool: application, reactor: service.reactor, limits: limits, logger: service.logger)
    let handler = AuditHandler(
      application: application, worker: try service.pool(.worker), hub: hub, limits: limits)
    try hub.start(listener: try service.listener())
    service.onDrain { hub.stop() }
    try service.serve([handler.methods], policy: AuditHandler.policy())
  }
}
