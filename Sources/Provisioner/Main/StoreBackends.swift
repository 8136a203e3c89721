import ProvisionerService
import ServiceRuntime

/// What acts on clusters in this program.
enum StoreBackends {
  /// Nil where there is none: the service then does not start.
  static func make(for service: Service) throws -> (any StoreBackend)? { nil }
}
