import Logging

/// What one log line says, and how it is written in either format.
struct LogEntry {
  /// Of a message, an error or a value; the rest is cut off.
  static let valueBytesMaximum = 1024
  static let keyBytesMaximum = 64
  /// Arrays and dictionaries within a value, from the value down.
  static let depthMaximum = 4

  let time: Timestamp
  let level: Logger.Level
  let message: String
  let error: (any Error)?
  let service: String
  let label: String?
  let context: RequestContext?
  let metadata: Logger.Metadata

  /// The line's own names. A metadata key of the same name is written with `metadata.` before it.
  private static let reservedKeys: Set<String> = [
    "time", "level", "message", "service", "logger", "error", "request_id", "trace_id", "tenant",
    "store", "operation", "principal", "truncated",
  ]

  /// Calls `body` with the context's fields that are set, in their order.
  private func forEachContextField(_ body: (StaticString, String) -> Void) {
    guard let context else { return }
    body("request_id", context.requestID.text)
    if let trace = context.trace { body("trace_id", trace.traceID.description) }
    if let tenant = context.tenant { body("tenant", tenant) }
    if let store = context.store { body("store", store) }
    if let operation = context.operation { body("operation", operation) }
    if let principal = context.principal { body("principal", principal) }
  }

  private static func sorted(_ metadata: Logger.Metadata) -> [(String, Logger.Metadata.Value)] {
    metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}

// MARK: JSON

extension LogEntry {
  /// One JSON object and a newline.
  func appendJSON(to line: inout LineBuffer) {
    line.append("{\"time\":\"")
    time.append(to: &line)
    line.append("\",\"level\":\"")
    line.append(verbatim: level.rawValue)
    line.append("\",\"message\":")
    Self.appendString(message, to: &line)
    Self.appendField("service", service, to: &line)
    if let label { Self.appendField("logger", label, to: &line) }
    if let error { Self.appendField("error", String(describing: error), to: &line) }
    // Noncopyable and so not captured by a closure: the fields are few and gathered first.
    var fields: [(StaticString, String)] = []
    forEachContextField { fields.append(($0, $1)) }
    for (name, value) in fields { Self.appendField(name, value, to: &line) }
    for (key, value) in Self.sorted(metadata) {
      line.field { line in
        line.append(UInt8(ascii: ","))
        Self.appendMember(key, value, reserved: Self.reservedKeys, depth: 1, to: &line)
      }
    }
    let isTruncated = line.isTruncated
    line.beginTail()
    if isTruncated { line.append(",\"truncated\":true") }
    line.append("}\n")
  }

  private static func appendField(_ name: StaticString, _ value: String, to line: inout LineBuffer)
  {
    line.field { line in
      line.append(",\"")
      line.append(name)
      line.append("\":")
      appendString(value, to: &line)
    }
  }

  private static func appendMember(
    _ key: String, _ value: Logger.Metadata.Value, reserved: Set<String>, depth: Int,
    to line: inout LineBuffer
  ) {
    line.append(UInt8(ascii: "\""))
    if reserved.contains(key) { line.append("metadata.") }
    line.appendEscaped(key, bytesMaximum: keyBytesMaximum)
    line.append("\":")
    if SecretKeys.contains(key) {
      line.append(UInt8(ascii: "\""))
      line.append(SecretKeys.replacement)
      line.append(UInt8(ascii: "\""))
    } else {
      appendValue(value, depth: depth, to: &line)
    }
  }

  private static func appendValue(
    _ value: Logger.Metadata.Value, depth: Int, to line: inout LineBuffer
  ) {
    switch value {
    case .string(let text):
      appendString(text, to: &line)
    case .stringConvertible(let convertible):
      switch convertible {
      case let number as Int: line.append(number)
      case let truth as Bool: line.append(truth ? "true" : "false")
      default: appendString(convertible.description, to: &line)
      }
    case .array, .dictionary:
      if depth > depthMaximum {
        line.append("\"…\"")
      } else {
        appendContainer(value, depth: depth + 1, to: &line)
      }
    }
  }

  private static func appendContainer(
    _ value: Logger.Metadata.Value, depth: Int, to line: inout LineBuffer
  ) {
    var isFirst = true
    if case .array(let elements) = value {
      line.append(UInt8(ascii: "["))
      for element in elements {
        if !isFirst { line.append(UInt8(ascii: ",")) }
        isFirst = false
        appendValue(element, depth: depth, to: &line)
      }
      line.append(UInt8(ascii: "]"))
    } else if case .dictionary(let members) = value {
      line.append(UInt8(ascii: "{"))
      for (key, member) in sorted(members) {
        if !isFirst { line.append(UInt8(ascii: ",")) }
        isFirst = false
        appendMember(key, member, reserved: [], depth: depth, to: &line)
      }
      line.append(UInt8(ascii: "}"))
    }
  }

  private static func appendString(_ text: String, to line: inout LineBuffer) {
    line.append(UInt8(ascii: "\""))
    line.appendEscaped(text, bytesMaximum: valueBytesMaximum)
    line.append(UInt8(ascii: "\""))
  }
}

// MARK: Human

extension LogEntry {
  /// `2026-11-21T03:17:18.042Z WARNING gateway: message request_id=… key=value` and a newline.
  func appendHuman(to line: inout LineBuffer, coloured: Bool) {
    time.append(to: &line)
    line.append(UInt8(ascii: " "))
    if coloured { line.append(Self.colour(of: level)) }
    line.append(verbatim: level.rawValue.uppercased())
    if coloured { line.append(Self.endOfColour) }
    line.append(UInt8(ascii: " "))
    line.appendEscaped(label ?? service, bytesMaximum: Self.keyBytesMaximum)
    line.append(": ")
    line.appendEscaped(message, bytesMaximum: Self.valueBytesMaximum)
    if let error {
      Self.appendPair("error", .string(String(describing: error)), reserved: [], to: &line)
    }
    var fields: [(StaticString, String)] = []
    forEachContextField { fields.append(($0, $1)) }
    for (name, value) in fields {
      Self.appendPair(String(describing: name), .string(value), reserved: [], to: &line)
    }
    for (key, value) in Self.sorted(metadata) {
      Self.appendPair(key, value, reserved: Self.reservedKeys, to: &line)
    }
    let isTruncated = line.isTruncated
    line.beginTail()
    if isTruncated { line.append(" truncated=true") }
    line.append(UInt8(ascii: "\n"))
  }

  private static func appendPair(
    _ key: String, _ value: Logger.Metadata.Value, reserved: Set<String>,
    to line: inout LineBuffer
  ) {
    line.field { line in
      line.append(UInt8(ascii: " "))
      if reserved.contains(key) { line.append("metadata.") }
      line.appendEscaped(key, bytesMaximum: keyBytesMaximum)
      line.append(UInt8(ascii: "="))
      if SecretKeys.contains(key) {
        line.append(SecretKeys.replacement)
      } else if case .string(let text) = value, isPlain(text) {
        line.appendEscaped(text, bytesMaximum: valueBytesMaximum)
      } else {
        appendValue(value, depth: 1, to: &line)
      }
    }
  }

  /// Needs no quotes to be told from its neighbours.
  private static func isPlain(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "=") }
  }

  private static let endOfColour: StaticString = "\u{1b}[0m"

  private static func colour(of level: Logger.Level) -> StaticString {
    switch level {
    case .trace, .debug: "\u{1b}[2m"
    case .info, .notice: "\u{1b}[32m"
    case .warning: "\u{1b}[33m"
    case .error, .critical: "\u{1b}[31m"
    }
  }
}
