import Configuration
import Glibc

/// The environment that programs which a service starts inherit.
package enum ProcessEnvironment {
  /// Takes the values of the platform's secret settings, of all services, out of this process's
  /// environment: a kubeconfig's credential plugin is given everything else, since nobody knows what
  /// plugins need, and has no business with a database's password.
  ///
  /// To be called once the configuration is read and before there is a second thread.
  package static func withdrawSecrets() {
    for service in PlatformService.allCases {
      for setting in service.schema.settings where setting.declaration.isSecret {
        unsetenv(setting.declaration.key)
      }
    }
  }
}
