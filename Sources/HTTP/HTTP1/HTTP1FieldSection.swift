/// Reads the field lines of a header or trailer section up to the empty line that ends it.
struct HTTP1FieldSection {
  private(set) var headers: HTTPHeaders
  private var bytesLeft: Int
  private let fieldsMax: Int
  private let tooLarge: HTTP1Violation

  static func header(_ limits: HTTP1Limits) -> HTTP1FieldSection {
    HTTP1FieldSection(
      headers: HTTPHeaders(reservingFields: 16, bytes: 1024),
      bytesLeft: limits.fieldSectionBytesMax, fieldsMax: limits.fieldsMax,
      tooLarge: .fieldSectionTooLarge)
  }

  static func trailer(_ limits: HTTP1Limits) -> HTTP1FieldSection {
    HTTP1FieldSection(
      headers: HTTPHeaders(), bytesLeft: limits.trailerSectionBytesMax,
      fieldsMax: limits.trailersMax,
      tooLarge: .trailerSectionTooLarge)
  }

  /// True once the section has ended, false where more bytes are needed.
  mutating func read(from buffer: inout HTTP1InputBuffer) throws(HTTP1Error) -> Bool {
    while true {
      switch try buffer.takeLine(bytesMax: bytesLeft) {
      case .incomplete: return false
      case .tooLong: throw HTTP1Error(tooLarge)
      case .complete(let line):
        if line.isEmpty { return true }
        bytesLeft -= line.count + 2
        guard bytesLeft >= 0 else { throw HTTP1Error(tooLarge) }
        guard headers.count < fieldsMax else {
          let violation = tooLarge == .fieldSectionTooLarge ? .tooManyFields : tooLarge
          throw HTTP1Error(violation, "at most \(fieldsMax)")
        }
        try Self.parse(buffer.bytes.span.extracting(line), into: &headers)
      }
    }
  }

  /// `field-name ":" OWS field-value OWS` (RFC 9112 section 5).
  private static func parse(
    _ line: Span<UInt8>, into headers: inout HTTPHeaders
  ) throws(HTTP1Error) {
    guard !line[0].isBlank else { throw HTTP1Error(.lineFolding) }
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
      throw HTTP1Error(.fieldLineMalformed)
    }
    let name = line.extracting(0..<colon)
    guard colon > 0 else { throw HTTP1Error(.fieldNameInvalid, "it is empty") }
    guard !line[colon - 1].isBlank else { throw HTTP1Error(.spaceBeforeColon) }
    guard ByteSet.token.containsAll(name) else { throw HTTP1Error(.fieldNameInvalid) }
    var start = colon + 1
    var end = line.count
    while start < end, line[start].isBlank { start += 1 }
    while end > start, line[end - 1].isBlank { end -= 1 }
    let value = line.extracting(start..<end)
    for index in value.indices where !value[index].isFieldValue {
      throw HTTP1Error(.fieldValueInvalid, "in \(String(copying: name))")
    }
    headers.append(name: name, value: value)
  }
}
