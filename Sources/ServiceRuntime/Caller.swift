/// On whose behalf a call is made, as a verified token says. The tenant is never taken from anywhere
/// else.
package struct Caller: Sendable, Equatable {
  /// The user's id.
  package let subject: String
  /// The only tenant whose resources the caller sees; nil for an administrator who has chosen none.
  package let tenant: String?
  package let roles: Set<String>

  package init(subject: String, tenant: String?, roles: Set<String>) {
    self.subject = subject
    self.tenant = tenant
    self.roles = roles
  }

  package static let administrator = "admin"

  package var isAdministrator: Bool { roles.contains(Caller.administrator) }
}
