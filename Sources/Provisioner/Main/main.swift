import Configuration
import ProvisionerService
import Reactor
import ServiceRuntime

do {
  let migrations = try ProvisionerMigrations.all()
  ServiceProcess.run(.provisioner, migrations: migrations) { service, reactor in
    let clusters = try StoreBackends.make(for: service)
    try ProvisionerService.start(service, clusters: clusters)
  }
} catch {
  // The scripts are part of the program: one that cannot be read is a mistake of its build.
  fatalError("the migrations of the provisioner are damaged: \(error)")
}
