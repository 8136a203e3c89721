import Configuration
import ProvisionerService
import Reactor
import ServiceRuntime

do {
  let migrations = try ProvisionerMigrations.all()
  ServiceProcess.run(.provisioner, migrations: migrations) { service, reactor in
    let backend = try StoreBackends.make(for: service)
    try ProvisionerService.start(service, backend: backend)
  }
} catch {
  // The scripts are part of the program: one that cannot be read is a mistake of its build.
  fatalError("the migrations of the provisioner are damaged: \(error)")
}
