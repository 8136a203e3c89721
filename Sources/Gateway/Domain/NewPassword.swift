/// What a new password must be. Length alone: rules about kinds of characters make weaker ones.
package enum NewPassword {
  package static let lengthMin = 12
  package static let bytesMax = 1024

  /// Why `password` is not accepted, nil when it is.
  package static func objection(to password: String) -> String? {
    if password.utf8.contains(0) { return "the password contains a NUL character" }
    if password.count < lengthMin {
      return "the password has \(password.count) characters; give at least \(lengthMin)"
    }
    if password.utf8.count > bytesMax {
      return "the password has \(password.utf8.count) bytes; give at most \(bytesMax)"
    }
    return nil
  }
}
