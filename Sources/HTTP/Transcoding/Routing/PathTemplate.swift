/// A path template of `google.api.http`:
///
///     Template = "/" Segments [ ":" Verb ]
///     Segments = Segment { "/" Segment }
///     Segment  = "*" | "**" | Literal | "{" FieldPath [ "=" Segments ] "}"
///
/// "*" is one segment that is not empty; "**" is the rest of the path, and comes last.
struct PathTemplate: Equatable {
  enum Segment: Hashable {
    case literal(String)
    case one
    case rest
  }

  struct Variable: Equatable {
    /// Names of fields joined by ".".
    let fieldPath: String
    /// What it binds, as indexes in `segments`.
    let segments: Range<Int>
  }

  private(set) var segments: [Segment] = []
  private(set) var variables: [Variable] = []
  /// Empty where there is none.
  private(set) var verb = ""

  /// Why a template is none.
  struct Fault: Error, Equatable {
    let reason: String

    init(_ reason: String) {
      self.reason = reason
    }
  }

  init(_ text: String) throws(Fault) {
    guard text.first == "/" else { throw Fault("does not start with \"/\"") }
    var rest = text.dropFirst()
    // A colon inside braces would be part of a variable, where none is allowed.
    let lastBrace = rest.lastIndex(of: "}") ?? rest.startIndex
    if let colon = rest[lastBrace...].lastIndex(of: ":") {
      verb = String(rest[rest.index(after: colon)...])
      guard Self.isLiteral(verb[...]) else { throw Fault("has an invalid verb") }
      rest = rest[..<colon]
    }
    while true {
      try parseSegment(&rest)
      guard !rest.isEmpty else { break }
      guard rest.removeFirst() == "/" else { throw Fault("has text behind a variable") }
    }
    guard segments.dropLast().allSatisfy({ $0 != .rest }) else {
      throw Fault("has \"**\" before its end")
    }
    guard Set(variables.map(\.fieldPath)).count == variables.count else {
      throw Fault("binds a variable twice")
    }
  }

  private mutating func parseSegment(_ rest: inout Substring) throws(Fault) {
    guard rest.first == "{" else {
      segments.append(try Self.plainSegment(rest.prefix { $0 != "/" }))
      rest = rest.drop { $0 != "/" }
      return
    }
    guard let end = rest.firstIndex(of: "}") else { throw Fault("has a \"{\" without \"}\"") }
    let inner = rest[rest.index(after: rest.startIndex)..<end]
    rest = rest[rest.index(after: end)...]
    let equals = inner.firstIndex(of: "=")
    let name = inner[..<(equals ?? inner.endIndex)]
    let path = name.split(separator: ".", omittingEmptySubsequences: false)
    guard path.allSatisfy(Self.isIdentifier) else { throw Fault("has an invalid variable") }
    let first = segments.count
    if let equals {
      let pattern = inner[inner.index(after: equals)...]
      for segment in pattern.split(separator: "/", omittingEmptySubsequences: false) {
        segments.append(try Self.plainSegment(segment))
      }
    } else {
      segments.append(.one)
    }
    variables.append(Variable(fieldPath: String(name), segments: first..<segments.count))
  }

  private static func plainSegment(_ text: Substring) throws(Fault) -> Segment {
    switch text {
    case "*": return .one
    case "**": return .rest
    default:
      guard isLiteral(text) else { throw Fault("has an empty or invalid segment") }
      return .literal(String(text))
    }
  }

  private static func isIdentifier(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "_") }
  }

  private static func isLiteral(_ text: Substring) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        isLetterOrDigit($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
          || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "~")
      }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    byte | 0x20 &- UInt8(ascii: "a") < 26 || byte &- UInt8(ascii: "0") < 10
  }
}
