/// On whose behalf a call is made, as a verified token says. The tenant is never taken from anywhere
/// else.
package struct Caller: Sendable, Equatable {
  /// The user's id.
  package let subject: String
  /// The only tenant whose resources the caller sees; nil for an administrator who has chosen none.
  package let tenant: String?
  package let roles: Set<String>
  /// Where the person's request came from, without a port; empty where that is not known.
  package let address: String

  package init(subject: String, tenant: String?, roles: Set<String>, address: String = "") {
    self.subject = subject
    self.tenant = tenant
    self.roles = roles
    self.address = address
  }

  package static let administrator = "admin"

  package var isAdministrator: Bool { roles.contains(Caller.administrator) }
}
