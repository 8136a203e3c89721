package import ProvisionerService

/// What the engines differ in, beside the chart.
extension StoreEngine {
  /// The Deployment that visitors reach; its pods and their container are named so too.
  var workload: String {
    switch self {
    case .woocommerce: "wordpress"
    case .medusa: "medusa-server"
    }
  }

  /// What answers well while the store serves, whatever its tenant has made of it.
  var livePath: String {
    switch self {
    case .woocommerce: "/"
    case .medusa: "/health"
    }
  }

  /// The database, and how a job reaches it.
  var database: DatabaseTraits {
    switch self {
    case .woocommerce:
      DatabaseTraits(
        workload: "mariadb", port: 3306, nameVariable: "MARIADB_DATABASE",
        userVariable: "MARIADB_USER", passwordKey: "mariadb-password")
    case .medusa:
      DatabaseTraits(
        workload: "postgres", port: 5432, nameVariable: "POSTGRES_DB",
        userVariable: "POSTGRES_USER", passwordKey: "postgres-password")
    }
  }

  /// The volume of `workload` with files that the store's customers or its tenant have put there.
  var filesVolume: String? {
    switch self {
    case .woocommerce: "content"
    case .medusa: nil
    }
  }

  package var credentials: CredentialNames {
    switch self {
    case .woocommerce:
      CredentialNames(
        administrator: "wordpress-admin-user", administratorPassword: "wordpress-admin-password",
        passwords: ["mariadb-root-password", "mariadb-password"],
        keys: ["auth", "secure-auth", "logged-in", "nonce"].flatMap {
          ["wordpress-\($0)-key", "wordpress-\($0)-salt"]
        })
    case .medusa:
      CredentialNames(
        administrator: "medusa-admin-email", administratorPassword: "medusa-admin-password",
        passwords: ["postgres-password", "redis-password"],
        keys: ["medusa-jwt-secret", "medusa-cookie-secret"])
    }
  }
}

/// The database of an engine: a StatefulSet, whose Service and container are named as it is.
struct DatabaseTraits: Sendable {
  let workload: String
  let port: Int
  /// Of the container's environment: what says the database's name and its user's.
  let nameVariable: String
  let userVariable: String
  /// Of the store's Secret.
  let passwordKey: String
}

/// The keys of a store's Secret.
package struct CredentialNames: Sendable {
  /// The name that the administrator signs in with; not generated, and no secret.
  package let administrator: String
  package let administratorPassword: String
  /// What is generated, and its length in characters.
  package let generated: [(name: String, length: Int32)]

  init(administrator: String, administratorPassword: String, passwords: [String], keys: [String]) {
    self.administrator = administrator
    self.administratorPassword = administratorPassword
    generated = ([administratorPassword] + passwords).map { ($0, 32) } + keys.map { ($0, 64) }
  }
}

extension StoreSite {
  /// What the administrator signs in with.
  var administrator: String {
    switch engine {
    case .woocommerce: "admin"
    case .medusa: administratorMail
    }
  }

  var administratorMail: String {
    parameters.adminEmail.isEmpty ? "admin@\(host)" : parameters.adminEmail
  }
}
