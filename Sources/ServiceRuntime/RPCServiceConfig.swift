package import Configuration
package import RPC

extension Configuration {
  /// What the service's channels to others do; gRPC's defaults where no file is named.
  package func rpcServiceConfig() throws(ConfigurationError) -> ServiceConfig {
    // The audit service calls nobody.
    let setting = PlatformSettings.rpcServiceConfigFile
    guard schema.settings.contains(where: { $0.declaration.key == setting.key }),
      let file = self[setting]
    else { return ServiceConfig() }
    do throws(ServiceConfigError) {
      return try ServiceConfig(json: file.text)
    } catch {
      throw self.error(
        setting, "names \(file.path), which is no service config: \(error)",
        remedy: "correct it, or leave the setting out for the built-in defaults")
    }
  }
}
