/// What an id of a tenant may be: 1 to 40 lower-case letters, digits and inner hyphens, a letter first.
package enum TenantIDRule {
  package static let lengthMax = 40
  package static let text =
    "use 1 to \(lengthMax) lower-case letters, digits and inner hyphens, a letter first"

  package static func allows(_ id: String) -> Bool {
    let bytes = id.utf8
    guard let first = bytes.first, bytes.count <= lengthMax else { return false }
    return isLetter(first) && bytes.last != UInt8(ascii: "-")
      && bytes.allSatisfy { isLetter($0) || 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-") }
  }

  private static func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte }
}

/// The tenant whose secrets and events are the platform's own. Its id is none that `TenantIDRule` allows:
/// nobody belongs to it, and no request can name it.
package enum PlatformTenant {
  package static let id = "~platform"
}
