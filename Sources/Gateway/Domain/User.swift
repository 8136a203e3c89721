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

/// The id of a tenant: 1 to 40 lower-case letters, digits and inner hyphens, a letter first.
package enum TenantID {
  package static let rule =
    "use 1 to 40 lower-case letters, digits and inner hyphens, a letter first"

  package static func isValid(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    guard let first = bytes.first, let last = bytes.last, bytes.count <= 40 else { return false }
    return isLetter(first) && (isLetter(last) || isDigit(last))
      && bytes.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte }
  private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
}
