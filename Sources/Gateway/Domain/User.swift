/// A person who may sign in.
package struct User: Equatable, Sendable {
  /// A UUID.
  package let id: String
  package let username: String
  package let displayName: String
  /// The only tenant whose resources the user sees; an administrator may have none.
  package let tenant: String?
  package let roles: [UserRole]

  package init(
    id: String, username: String, displayName: String, tenant: String?, roles: [UserRole]
  ) {
    self.id = id
    self.username = username
    self.displayName = displayName
    self.tenant = tenant
    self.roles = roles
  }
}

/// What a person may do, as tokens and the database name it.
package enum UserRole: String, CaseIterable, Sendable {
  /// Works with the stores, settings and secrets of one tenant.
  case member
  /// Runs the platform, and has the rights of a member in its own tenant.
  case admin
}
