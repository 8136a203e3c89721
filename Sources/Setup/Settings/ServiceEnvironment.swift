package import Configuration
import Glibc

/// What one service is told, and nothing that only others take: its environment, put together from
/// the settings files and from what lies in the installation's folder.
package struct ServiceEnvironment: Sendable {
  package let service: PlatformService
  /// The variables by name, secrets included.
  package let variables: [String: String]

  /// Who a service runs as for the time of a command.
  package enum Role: Sendable {
    /// With the rights to serve.
    case service
    /// With the rights to change the schema, and nothing else.
    case owner
  }

  init(_ service: PlatformService, role: Role = .service, sources: SettingsSources) {
    var variables: [String: String] = [:]
    for declaration in service.schema.settings.map(\.declaration) {
      let isOwners = declaration.key == PlatformSettings.databaseOwnerURL.key
      if isOwners != (role == .owner) && !Self.commonToRoles.contains(declaration.key) { continue }
      variables.merge(sources.values(of: declaration, for: service)) { first, _ in first }
    }
    self.service = service
    self.variables = variables
  }

  private static let commonToRoles: Set<String> = [
    PlatformSettings.logFormat.key, PlatformSettings.logLevel.key,
  ]

  /// A line a variable, sorted: for a service manager's file of variables.
  package var text: String {
    variables.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }.joined()
  }

  /// What is wrong with it by the service's own rules.
  func problems() -> [ConfigurationProblem] {
    do throws(ConfigurationError) {
      _ = try Configuration.load(service.schema, environment: variables)
      return []
    } catch {
      return error.problems
    }
  }
}

/// Where the values of settings come from, first to last: `storeplane.env`, `machine.env`, and what
/// follows from the folder and the other services' settings.
struct SettingsSources: Sendable {
  private let installation: Installation
  private let files: [SettingsFile]

  init(_ installation: Installation, files: [SettingsFile]) {
    self.installation = installation
    self.files = files
  }

  /// The value, or for a secret the path of its file; both where one source gives both.
  func values(
    of declaration: SettingDeclaration, for service: PlatformService
  ) -> [String: String] {
    let variables = Vocabulary.variables(of: declaration)
    for file in files {
      let own = variables.compactMap { variable in
        file.values[Vocabulary.prefixed(service, variable)].map { (variable, $0) }
      }
      let common = variables.compactMap { variable in
        file.values[variable].map { (variable, $0) }
      }
      for found in [own, common] where !found.isEmpty {
        return Dictionary(found) { first, _ in first }
      }
    }
    return derived(declaration.key, for: service).map { [$0.variable: $0.value] } ?? [:]
  }

  private func derived(
    _ key: String, for service: PlatformService
  ) -> (variable: String, value: String)? {
    let name = service.rawValue
    switch key {
    case PlatformSettings.tlsCertificateFile.key:
      return (key, installation.certificateFile(of: name))
    case PlatformSettings.tlsKeyFile.key: return (key, installation.keyFile(of: name))
    case PlatformSettings.tlsCAFile.key: return (key, installation.authorityFile)
    case PlatformSettings.callerKeysFile.key: return (key, installation.callerKeysFile)
    case PlatformSettings.tokenSigningKey.key:
      let file = installation.signingKeyFile
      return access(file, F_OK) == 0 ? (key + "_FILE", file) : nil
    case PlatformSettings.listenAddress.key, PlatformSettings.adminAddress.key:
      return service.schema.settings.first { $0.declaration.key == key }?.declaration.fallback
        .map { (key, $0) }
    default: break
    }
    let callee = PlatformService.allCases.first { Vocabulary.prefixed($0, "ADDRESS") == key }
    return callee.map { (key, address(of: $0)) }
  }

  /// Where the other services on this machine reach a service.
  private func address(of service: PlatformService) -> String {
    let listen = values(of: PlatformSettings.listenAddress.declaration, for: service)
    let text = listen.values.first ?? ""
    for everywhere in ["0.0.0.0:", "[::]:"] where text.hasPrefix(everywhere) {
      return "127.0.0.1:" + text.dropFirst(everywhere.count)
    }
    return text
  }
}

extension SettingDeclaration {
  fileprivate var fallback: String? {
    if case .defaulted(let text) = requirement { text } else { nil }
  }
}
