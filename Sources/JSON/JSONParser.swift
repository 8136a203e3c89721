extension JSON {
  /// Parses one document (RFC 8259), strictly: UTF-8 without byte order mark, no duplicate keys,
  /// no lone surrogates, nothing before or after but white space.
  package init(parsing document: Span<UInt8>, limits: JSONLimits = JSONLimits())
    throws(JSONParseError)
  {
    self = try document.withUnsafeBufferPointer { (bytes) throws(JSONParseError) in
      var parser = JSONParser(bytes: bytes, limits: limits)
      return try parser.parseDocument()
    }
  }

  package init(parsing document: [UInt8], limits: JSONLimits = JSONLimits())
    throws(JSONParseError)
  {
    try self.init(parsing: document.span, limits: limits)
  }

  package init(parsing document: String, limits: JSONLimits = JSONLimits())
    throws(JSONParseError)
  {
    try self.init(parsing: Array(document.utf8), limits: limits)
  }
}

/// Recursive descent over one document. `position` never passes `bytes.count`, and every read is
/// behind a comparison with it. Paths of errors are built on the way out, so success pays nothing.
private struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let limits: JSONLimits
  let depthMax: Int
  var position = 0
  var values = 0

  init(bytes: UnsafeBufferPointer<UInt8>, limits: JSONLimits) {
    self.bytes = bytes
    self.limits = limits
    depthMax = min(limits.depthMax, JSONLimits.depthCeiling)
  }

  mutating func parseDocument() throws(JSONParseError) -> JSON {
    guard bytes.count <= limits.bytesMax else {
      throw JSONParseError(.documentTooLarge(bytesMax: limits.bytesMax), offset: limits.bytesMax)
    }
    guard !bytes.starts(with: [0xEF, 0xBB, 0xBF]) else { throw fault(.byteOrderMark) }
    skipWhiteSpace()
    guard position < bytes.count else { throw fault(.empty) }
    let value = try parseValue(depth: 0)
    skipWhiteSpace()
    guard position == bytes.count else { throw fault(.trailingData) }
    return value
  }

  private func fault(_ reason: JSONParseError.Reason, at offset: Int? = nil) -> JSONParseError {
    JSONParseError(reason, offset: offset ?? position)
  }

  private mutating func skipWhiteSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  /// The next byte that is not white space.
  private mutating func peek() throws(JSONParseError) -> UInt8 {
    skipWhiteSpace()
    guard position < bytes.count else { throw fault(.unexpectedEnd) }
    return bytes[position]
  }

  private mutating func parseValue(depth: Int) throws(JSONParseError) -> JSON {
    values += 1
    guard values <= limits.valuesMax else {
      throw fault(.tooManyValues(valuesMax: limits.valuesMax))
    }
    switch try peek() {
    case UInt8(ascii: "{"): return .object(try parseObject(depth: try deeper(depth)))
    case UInt8(ascii: "["): return .array(try parseArray(depth: try deeper(depth)))
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t"): return try parseLiteral("true", .bool(true))
    case UInt8(ascii: "f"): return try parseLiteral("false", .bool(false))
    case UInt8(ascii: "n"): return try parseLiteral("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      return .number(try parseNumber())
    default: throw fault(.valueExpected)
    }
  }

  private func deeper(_ depth: Int) throws(JSONParseError) -> Int {
    guard depth < depthMax else { throw fault(.tooDeep(depthMax: depthMax)) }
    return depth + 1
  }

  private mutating func parseLiteral(
    _ text: StaticString, _ value: JSON
  ) throws(JSONParseError) -> JSON {
    for index in 0..<text.utf8CodeUnitCount {
      guard position + index < bytes.count else {
        throw fault(.unexpectedEnd, at: bytes.count)
      }
      guard bytes[position + index] == text.utf8Start[index] else { throw fault(.literalInvalid) }
    }
    position += text.utf8CodeUnitCount
    return value
  }

  private mutating func parseArray(depth: Int) throws(JSONParseError) -> [JSON] {
    position += 1
    var elements: [JSON] = []
    if try peek() == UInt8(ascii: "]") {
      position += 1
      return elements
    }
    while true {
      do throws(JSONParseError) {
        elements.append(try parseValue(depth: depth))
      } catch {
        throw error.inside(.index(elements.count))
      }
      guard try continues(closing: UInt8(ascii: "]")) else { return elements }
    }
  }

  private mutating func parseObject(depth: Int) throws(JSONParseError) -> JSONObject {
    position += 1
    var object = JSONObject()
    if try peek() == UInt8(ascii: "}") {
      position += 1
      return object
    }
    while true {
      let keyOffset = position
      let key = try parseKey()
      guard object.count < limits.membersMax else {
        throw fault(.tooManyMembers(membersMax: limits.membersMax), at: keyOffset)
      }
      let value: JSON
      do throws(JSONParseError) {
        // Found before its value is parsed, or a hostile value would be paid for.
        guard !object.contains(key) else { throw fault(.duplicateKey, at: keyOffset) }
        guard try peek() == UInt8(ascii: ":") else { throw fault(.colonExpected) }
        position += 1
        value = try parseValue(depth: depth)
      } catch {
        throw error.inside(.key(key))
      }
      object[key] = value
      guard try continues(closing: UInt8(ascii: "}")) else { return object }
    }
  }

  private mutating func parseKey() throws(JSONParseError) -> String {
    guard bytes[position] == UInt8(ascii: "\"") else { throw fault(.keyExpected) }
    let start = position
    let key = try parseString()
    guard key.utf8.count <= limits.keyBytesMax else {
      throw fault(.keyTooLong(bytesMax: limits.keyBytesMax), at: start)
    }
    return key
  }

  /// Takes "," and stops before the next element, or takes the closing bracket.
  private mutating func continues(closing: UInt8) throws(JSONParseError) -> Bool {
    let next = try peek()
    guard next == UInt8(ascii: ",") || next == closing else { throw fault(.commaOrEndExpected) }
    position += 1
    guard next != closing else { return false }
    guard try peek() != closing else { throw fault(.trailingComma) }
    return true
  }
}

// MARK: Numbers

extension JSONParser {
  private mutating func parseNumber() throws(JSONParseError) -> JSONNumber {
    let start = position
    var isInteger = true
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let firstDigit = position
    try skipDigits()
    guard bytes[firstDigit] != UInt8(ascii: "0") || position == firstDigit + 1 else {
      throw fault(.numberInvalid, at: start)
    }
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      try skipDigits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if position < bytes.count,
        bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      try skipDigits()
    }
    guard position - start <= limits.numberBytesMax else {
      throw fault(.numberTooLong(bytesMax: limits.numberBytesMax), at: start)
    }
    // Most numbers are short integers: no text is made of them.
    if isInteger, position - firstDigit <= 18, firstDigit == start || bytes[firstDigit] != 0x30 {
      let magnitude = bytes[firstDigit..<position].reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
      return JSONNumber(firstDigit == start ? magnitude : -magnitude)
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    return JSONNumber(validated: text, isInteger: isInteger)
  }

  private mutating func skipDigits() throws(JSONParseError) {
    let start = position
    while position < bytes.count, bytes[position] &- 0x30 < 10 { position += 1 }
    guard position > start else {
      throw fault(position == bytes.count ? .unexpectedEnd : .numberInvalid)
    }
  }
}

// MARK: Strings

extension JSONParser {
  private mutating func parseString() throws(JSONParseError) -> String {
    position += 1
    let start = position
    try skipPlainCharacters(from: start)
    if bytes[position] == UInt8(ascii: "\"") {
      let text = try text(UnsafeBufferPointer(rebasing: bytes[start..<position]), offset: start)
      position += 1
      return text
    }
    return try parseEscapedString(from: start)
  }

  /// Stops at a quote or a backslash.
  private mutating func skipPlainCharacters(from start: Int) throws(JSONParseError) {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return }
      guard byte >= 0x20 else { throw fault(.controlCharacter) }
      position += 1
    }
    throw fault(.stringUnterminated, at: start - 1)
  }

  /// Goes on where the plain characters from `start` end in a backslash. Each run of plain
  /// characters is checked by itself: an escape cannot complete a UTF-8 sequence.
  private mutating func parseEscapedString(from start: Int) throws(JSONParseError) -> String {
    var decoded = ""
    var runStart = start
    while true {
      let run = UnsafeBufferPointer(rebasing: bytes[runStart..<position])
      decoded += try text(run, offset: runStart)
      position += 1
      if bytes[position - 1] == UInt8(ascii: "\"") { return decoded }
      decoded.unicodeScalars.append(try parseEscape(stringStart: start))
      runStart = position
      try skipPlainCharacters(from: start)
    }
  }

  private func text(
    _ run: UnsafeBufferPointer<UInt8>, offset: Int
  ) throws(JSONParseError) -> String {
    do throws(UTF8.ValidationError) {
      return String(copying: try UTF8Span(validating: run.span))
    } catch {
      throw fault(.notUTF8, at: offset + error.byteOffsets.lowerBound)
    }
  }

  /// `position` is behind the backslash.
  private mutating func parseEscape(stringStart: Int) throws(JSONParseError) -> Unicode.Scalar {
    let backslash = position - 1
    guard position < bytes.count else { throw fault(.stringUnterminated, at: stringStart - 1) }
    position += 1
    switch bytes[position - 1] {
    case UInt8(ascii: "\""): return "\""
    case UInt8(ascii: "\\"): return "\\"
    case UInt8(ascii: "/"): return "/"
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): break
    default: throw fault(.escapeInvalid, at: backslash)
    }
    var code = UInt32(try parseFourHexadecimalDigits(backslash))
    if UTF16.isLeadSurrogate(UInt16(code)) {
      guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      else { throw fault(.surrogateUnpaired, at: backslash) }
      position += 2
      let trail = try parseFourHexadecimalDigits(position - 2)
      guard UTF16.isTrailSurrogate(trail) else {
        throw fault(.surrogateUnpaired, at: backslash)
      }
      code = 0x10000 + (code & 0x3FF) << 10 + UInt32(trail & 0x3FF)
    }
    guard let scalar = Unicode.Scalar(code) else { throw fault(.surrogateUnpaired, at: backslash) }
    return scalar
  }

  private mutating func parseFourHexadecimalDigits(
    _ backslash: Int
  ) throws(JSONParseError) -> UInt16 {
    var code: UInt16 = 0
    for _ in 0..<4 {
      guard position < bytes.count else { throw fault(.escapeInvalid, at: backslash) }
      let byte = bytes[position]
      let letter = (byte | 0x20) &- UInt8(ascii: "a")
      if byte &- 0x30 < 10 {
        code = code << 4 | UInt16(byte - 0x30)
      } else if letter < 6 {
        code = code << 4 | UInt16(letter + 10)
      } else {
        throw fault(.escapeInvalid, at: backslash)
      }
      position += 1
    }
    return code
  }
}

extension JSONParseError {
  fileprivate func inside(_ step: JSONPathStep) -> JSONParseError {
    var outer = self
    outer.path.steps.insert(step, at: 0)
    return outer
  }
}
