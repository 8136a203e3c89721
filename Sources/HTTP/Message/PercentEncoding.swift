/// Why a path, a query or one of their parts was refused.
package enum HTTPTargetError: Error, Equatable, Sendable, CustomStringConvertible {
  /// "%" without two hexadecimal digits behind it, at this byte of the part.
  case invalidEscape(offset: Int)
  /// A byte that must be escaped, at this byte of the part.
  case invalidCharacter(offset: Int)
  /// The decoded bytes are not UTF-8.
  case notUTF8
  /// The part decodes to text with a NUL, which C libraries and Postgres cut or refuse.
  case containsNUL
  /// "." or "..", escaped or not: a client resolves them before it sends.
  case dotSegment
  case notAbsolute
  case tooManySegments(limit: Int)
  case tooManyParameters(limit: Int)

  package var description: String {
    switch self {
    case .invalidEscape(let offset):
      "% at byte \(offset) is not followed by two hexadecimal digits; write %25 for a percent sign"
    case .invalidCharacter(let offset):
      "byte \(offset) is not allowed in a URI; percent-encode it"
    case .notUTF8: "the percent-encoded bytes are not UTF-8"
    case .containsNUL: "%00 is not allowed"
    case .dotSegment: "\".\" and \"..\" are not allowed as path segments; send the resolved path"
    case .notAbsolute: "the path does not start with \"/\""
    case .tooManySegments(let limit): "the path has more than \(limit) segments"
    case .tooManyParameters(let limit): "the query has more than \(limit) parameters"
    }
  }
}

/// Percent-encoding (RFC 3986 section 2.1), strict in both directions.
package enum PercentEncoding {
  /// Decodes one part of a URI to text: a path segment, or a name or value of a query.
  ///
  /// - Parameter plusIsSpace: as in `application/x-www-form-urlencoded`, which queries follow.
  package static func decode(
    _ part: some Collection<UInt8>, plusIsSpace: Bool = false
  ) throws(HTTPTargetError) -> String {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(part.count)
    var pending = part.makeIterator()
    var offset = 0
    while let byte = pending.next() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let high = pending.next()?.hexadecimalValue,
          let low = pending.next()?.hexadecimalValue
        else { throw .invalidEscape(offset: offset) }
        decoded.append(high << 4 | low)
        offset += 3
        continue
      case UInt8(ascii: "+") where plusIsSpace: decoded.append(.space)
      case _ where ByteSet.query.contains(byte): decoded.append(byte)
      default: throw .invalidCharacter(offset: offset)
      }
      offset += 1
    }
    guard !decoded.contains(0) else { throw .containsNUL }
    guard let text = String(validating: decoded, as: UTF8.self) else { throw .notUTF8 }
    return text
  }

  /// Encodes every byte but the unreserved ones: right for a path segment and in a query.
  package static func encode(_ text: String) -> String {
    var encoded: [UInt8] = []
    encoded.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
      if ByteSet.unreserved.contains(byte) {
        encoded.append(byte)
      } else {
        encoded.append(UInt8(ascii: "%"))
        encoded.append(uppercaseHexadecimalDigit(byte >> 4))
        encoded.append(uppercaseHexadecimalDigit(byte & 15))
      }
    }
    return String(decoding: encoded, as: UTF8.self)
  }

  /// Checks characters and escapes of a raw path or query without decoding it.
  static func check(_ bytes: Span<UInt8>, allowed: ByteSet) throws(HTTPTargetError) {
    var index = 0
    while index < bytes.count {
      if allowed.contains(bytes[index]) {
        index += 1
      } else if bytes[index] == UInt8(ascii: "%") {
        guard index + 2 < bytes.count, bytes[index + 1].hexadecimalValue != nil,
          bytes[index + 2].hexadecimalValue != nil
        else { throw .invalidEscape(offset: index) }
        index += 3
      } else {
        throw .invalidCharacter(offset: index)
      }
    }
  }

  private static func uppercaseHexadecimalDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
  }
}
