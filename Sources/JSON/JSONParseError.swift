/// What one document may cost, each limit with what it stops.
package struct JSONLimits: Equatable, Sendable {
  /// Deepest nesting that any limit may allow: the parser recurses once a level.
  package static let depthCeiling = 512

  /// A document is parsed whole, so it is bounded before anything is read.
  package var bytesMax = 4 * 1024 * 1024
  /// Deep nesting overflows the stack of a recursive reader, ours or the next one's. At most
  /// `depthCeiling` is honoured.
  package var depthMax = 100
  /// Members of one object: far above any message or resource, and bounds the index over them.
  package var membersMax = 10_000
  /// Values of the whole document: a value in memory is many times larger than "1," in text.
  package var valuesMax = 250_000
  /// Keys are kept in errors' paths and in indexes.
  package var keyBytesMax = 4 * 1024
  /// Numbers are kept as written; longer ones are no number anybody computes with.
  package var numberBytesMax = 1024

  package init() {}
}

/// Why a text is not a JSON document, or not one within the limits. Never has values of the
/// document, which may be secrets; keys stand in the path.
package struct JSONParseError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Reason: Equatable, Sendable {
    case empty
    case unexpectedEnd
    case byteOrderMark
    case valueExpected
    case keyExpected
    case colonExpected
    case commaOrEndExpected
    case trailingComma
    case trailingData
    case literalInvalid
    case numberInvalid
    case stringUnterminated
    case controlCharacter
    case escapeInvalid
    case surrogateUnpaired
    case notUTF8
    case duplicateKey
    case documentTooLarge(bytesMax: Int)
    case tooDeep(depthMax: Int)
    case tooManyMembers(membersMax: Int)
    case tooManyValues(valuesMax: Int)
    case keyTooLong(bytesMax: Int)
    case numberTooLong(bytesMax: Int)
  }

  package let reason: Reason
  /// Of the first byte at fault.
  package let offset: Int
  /// Of the value at fault; for a duplicate key, that key's.
  package internal(set) var path: JSONPath

  init(_ reason: Reason, offset: Int, path: JSONPath = JSONPath()) {
    self.reason = reason
    self.offset = offset
    self.path = path
  }

  package var description: String { "\(path), byte \(offset): \(text)" }

  private var text: String {
    switch reason {
    case .empty: "the document is empty"
    case .unexpectedEnd: "the document ends too early"
    case .byteOrderMark: "a byte order mark is not allowed"
    case .valueExpected: "expected a value"
    case .keyExpected: "expected a key in double quotes"
    case .colonExpected: "expected \":\" after the key"
    case .commaOrEndExpected: "expected \",\" or the closing bracket"
    case .trailingComma: "a comma before the closing bracket"
    case .trailingData: "the document goes on after its value"
    case .literalInvalid: "expected true, false or null, in lower case"
    case .numberInvalid: "the number is malformed"
    case .stringUnterminated: "the string has no closing quote"
    case .controlCharacter: "a control character in a string; escape it"
    case .escapeInvalid: "an unknown or incomplete escape"
    case .surrogateUnpaired: "a \\u surrogate without its other half"
    case .notUTF8: "the string is not UTF-8"
    case .duplicateKey: "the key occurs twice in its object"
    case .documentTooLarge(let max): "the document has more than \(max) bytes"
    case .tooDeep(let max): "nested deeper than \(max) levels"
    case .tooManyMembers(let max): "the object has more than \(max) members"
    case .tooManyValues(let max): "the document has more than \(max) values"
    case .keyTooLong(let max): "the key has more than \(max) bytes"
    case .numberTooLong(let max): "the number has more than \(max) bytes"
    }
  }
}
