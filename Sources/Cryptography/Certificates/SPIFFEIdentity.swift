/// The identity of a workload, `spiffe://TRUST-DOMAIN/PATH`, after the SPIFFE ID specification.
package struct SPIFFEIdentity: Hashable, Sendable, CustomStringConvertible {
  package static let lengthMax = 2048
  package static let trustDomainLengthMax = 255
  private static let scheme = "spiffe://"

  package let trustDomain: String
  /// The path's segments; none are empty, `.` or `..`.
  package let segments: [String]

  package init(_ text: String) throws(SPIFFEIdentityError) {
    guard text.utf8.count <= Self.lengthMax else {
      throw .tooLong(length: text.utf8.count, maximum: Self.lengthMax)
    }
    guard text.hasPrefix(Self.scheme) else { throw .wrongScheme }
    let parts = text.dropFirst(Self.scheme.count)
      .split(separator: "/", omittingEmptySubsequences: false)
    guard let domain = parts.first, !domain.isEmpty,
      domain.utf8.count <= Self.trustDomainLengthMax,
      domain.utf8.allSatisfy({ Self.isAllowed($0) && !Self.isUpperCase($0) })
    else { throw .wrongTrustDomain }
    for segment in parts.dropFirst() {
      guard !segment.isEmpty, segment != ".", segment != "..",
        segment.utf8.allSatisfy(Self.isAllowed)
      else { throw .wrongPath }
    }
    trustDomain = String(domain)
    segments = parts.dropFirst().map(String.init)
  }

  package var description: String {
    ([Self.scheme + trustDomain] + segments).joined(separator: "/")
  }

  private static func isAllowed(_ character: UInt8) -> Bool {
    switch character {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
      UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
      true
    default: isUpperCase(character)
    }
  }

  private static func isUpperCase(_ character: UInt8) -> Bool {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(character)
  }
}

package enum SPIFFEIdentityError: Error, Equatable, CustomStringConvertible {
  case tooLong(length: Int, maximum: Int)
  case wrongScheme
  case wrongTrustDomain
  case wrongPath

  package var description: String {
    switch self {
    case .tooLong(let length, let maximum):
      "a SPIFFE identity of \(length) bytes; at most \(maximum) are allowed"
    case .wrongScheme: "a SPIFFE identity starts with spiffe://"
    case .wrongTrustDomain:
      "a SPIFFE trust domain is 1 to 255 lower-case letters, digits, '.', '-' and '_'"
    case .wrongPath:
      "the segments of a SPIFFE path are letters, digits, '.', '-' and '_', and none is empty, "
        + "'.' or '..'"
    }
  }
}
