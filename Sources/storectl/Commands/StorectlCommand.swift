package import ArgumentParser

/// The command line of Storeplane.
package struct StorectlCommand: AsyncParsableCommand {
  package static let version = "0.1.0"

  package static let configuration = CommandConfiguration(
    commandName: "storectl",
    abstract: "Create stores on Storeplane, and look after them.",
    discussion: """
      Begin with:
        storectl login --username ada
        storectl stores create --name demo --engine woocommerce --wait

      Every command takes -o table|json|yaml: results go to standard output, what happens meanwhile to \
      standard error. JSON is the gateway's own.

      Environment:
        STOREPLANE_ADDRESS  the gateway, as --address
        STOREPLANE_TOKEN    an access token, in place of a login
        STORECTL_CONFIG     the file that keeps the login
        NO_COLOR            no colours, also on a terminal

      \(StorectlExit.help)
      """,
    version: "storectl \(version)",
    subcommands: [
      LoginCommand.self, LogoutCommand.self, WhoamiCommand.self, TokenCommand.self,
      TenantsCommand.self, StoresCommand.self, BackupsCommand.self, OperationsCommand.self,
      SettingsCommand.self, ClustersCommand.self, SecretsCommand.self, EventsCommand.self,
      VersionCommand.self,
    ])

  package init() {}
}

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Show the version of storectl.")

  func run() { print("storectl \(StorectlCommand.version)") }
}
