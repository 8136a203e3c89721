package import Configuration

/// The names that a settings file may have: a setting's own, for all services that take it, and with
/// a service's name before it for that service alone (`AUDIT_LOG_LEVEL`), which goes before the other.
package enum Vocabulary {
  /// A setting, and the services that take it.
  package struct Entry: Sendable {
    package let declaration: SettingDeclaration
    package let services: [PlatformService]
  }

  /// Every setting of the platform, in the order in which the services declare them.
  package static let entries: [Entry] = {
    var order: [String] = []
    var declarations: [String: SettingDeclaration] = [:]
    var services: [String: [PlatformService]] = [:]
    for service in PlatformService.allCases {
      for declaration in service.schema.settings.map(\.declaration) {
        if declarations[declaration.key] == nil {
          order.append(declaration.key)
          declarations[declaration.key] = declaration
        }
        services[declaration.key, default: []].append(service)
      }
    }
    return order.compactMap { key in
      declarations[key].map { Entry(declaration: $0, services: services[key] ?? []) }
    }
  }()

  static func prefixed(_ service: PlatformService, _ key: String) -> String {
    "\(service.rawValue.uppercased())_\(key)"
  }

  /// The variables of a setting: the value, and for a secret the file that holds it.
  static func variables(of declaration: SettingDeclaration) -> [String] {
    declaration.isSecret ? [declaration.key, declaration.key + "_FILE"] : [declaration.key]
  }

  /// Every name that a settings file may have.
  static let names: Set<String> = {
    var names: Set<String> = []
    for entry in entries {
      for variable in variables(of: entry.declaration) {
        names.insert(variable)
        for service in entry.services { names.insert(prefixed(service, variable)) }
      }
    }
    return names
  }()

  /// Settings that are another for each service; one value for all of them is a mistake.
  static let perService: Set<String> = [
    "LISTEN_ADDRESS", "ADMIN_ADDRESS", "DATABASE_URL", "DATABASE_WORKER_URL",
    "DATABASE_OWNER_URL", "TLS_CERTIFICATE_FILE", "TLS_KEY_FILE",
  ]
}
