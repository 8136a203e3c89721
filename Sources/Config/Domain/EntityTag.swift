/// The etag of a resource that counts its changes, in quotation marks after RFC 9110.
struct EntityTag: Equatable, Sendable {
  let text: String

  /// - Parameter revision: 0 for a resource that was never set.
  init(revision: Int64) { text = "\"\(revision)\"" }

  /// Whether a caller that gave `condition` wants this revision; an empty condition wants any.
  func satisfies(_ condition: String) -> Bool { condition.isEmpty || condition == text }
}
