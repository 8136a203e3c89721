import AuditService
import Configuration
import Reactor
import ServiceRuntime

@main
struct Audit {
  static func main() throws {
    ServiceProcess.run(.audit, migrations: try AuditMigrations.all()) { service, _ in
      try AuditApplication.start(service)
    }
  }
}
