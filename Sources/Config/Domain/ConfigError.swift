/// Why the config service does not do what it was asked to, in the terms of the domain. Never holds a
/// secret, nor any part of one.
enum ConfigError: Error, Equatable {
  case invalid(field: String, description: String)
  case tenantNotFound(String)
  case tenantExists(String)
  /// The request id has created another tenant, or this one with other values.
  case requestIDTaken
  case secretNotFound(SecretName)
  /// The secret's version is not the one that the caller expects; 0 for none.
  case versionMismatch(SecretName, expected: Int64, current: Int64)
  case etagMismatch
  /// A limit by its name, and what reached it.
  case limitReached(name: String, maximum: Int, of: String)
  /// What is stored cannot be opened: it was changed, or belongs to another row.
  case damaged(what: String, reason: String)
  /// What is stored needs a key that this process does not have.
  case keyMissing(what: String, reason: String)
  /// The database was written under another key than the one given.
  case wrongPlatformKey(reason: String)
}

extension ConfigError: CustomStringConvertible {
  var description: String {
    switch self {
    case .invalid(let field, let description): "\(field): \(description)"
    case .tenantNotFound(let tenant): "tenant '\(tenant)' does not exist"
    case .tenantExists(let tenant): "tenant '\(tenant)' exists already"
    case .requestIDTaken:
      "request_id: it was used for a request with other values; make a new one for each request"
    case .secretNotFound(let name): "secret '\(name.text)' does not exist"
    case .versionMismatch(let name, let expected, let current):
      current == 0
        ? "secret '\(name.text)' does not exist, where version \(expected) was expected"
        : expected == 0
          ? "secret '\(name.text)' exists already, in version \(current)"
          : "secret '\(name.text)' is in version \(current), not \(expected): read it again"
    case .etagMismatch:
      "the settings have changed since they were read: read them again and repeat the change"
    case .limitReached(let name, let maximum, let what):
      "at most \(maximum) \(what) are allowed (\(name)): delete some that are not needed"
    case .damaged(let what, let reason): "\(what) cannot be read: \(reason)"
    case .keyMissing(let what, let reason): "\(what) cannot be read: \(reason)"
    case .wrongPlatformKey(let reason):
      "PLATFORM_ENCRYPTION_KEY is not the key that this database was written with (\(reason)): "
        + "start the service with the former key; nothing has been changed"
    }
  }
}
