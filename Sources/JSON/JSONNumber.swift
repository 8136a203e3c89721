/// A number kept exactly as written: reading it as `Double` is the reader's choice, and the only
/// step that may lose digits.
package struct JSONNumber: Sendable {
  private enum Storage: Sendable {
    case integer(Int64)
    /// Above Int64's range.
    case unsigned(UInt64)
    /// Anything else that the grammar allows, as written.
    case decimal(String)
  }

  private let storage: Storage

  package init(_ value: Int64) {
    storage = .integer(value)
  }

  package init(_ value: Int) {
    storage = .integer(Int64(value))
  }

  package init(_ value: UInt64) {
    storage = Int64(exactly: value).map(Storage.integer) ?? .unsigned(value)
  }

  /// Nil for infinities and NaN, which JSON does not have.
  package init?(_ value: Double) {
    guard value.isFinite else { return nil }
    storage = .decimal("\(value)")
  }

  /// - Parameter text: already checked against the grammar of RFC 8259 section 6.
  init(validated text: String, isInteger: Bool) {
    // Minus zero is a number of its own to those who read it as a double.
    if isInteger, text != "-0", let value = Int64(text) {
      storage = .integer(value)
    } else if isInteger, text.utf8.first != UInt8(ascii: "-"), let value = UInt64(text) {
      storage = .unsigned(value)
    } else {
      storage = .decimal(text)
    }
  }

  /// The number as it was written.
  package var text: String {
    switch storage {
    case .integer(let value): "\(value)"
    case .unsigned(let value): "\(value)"
    case .decimal(let text): text
    }
  }

  /// The value, where it is an integer in range, however written: 5, 5.0 and 50e-1 are 5.
  package var int64: Int64? {
    switch storage {
    case .integer(let value): return value
    case .unsigned: return nil
    case .decimal(let text):
      guard let (isNegative, magnitude) = JSONDecimal.integer(text) else { return nil }
      if isNegative, magnitude == UInt64(Int64.max) + 1 { return .min }
      guard let value = Int64(exactly: magnitude) else { return nil }
      return isNegative ? -value : value
    }
  }

  /// The value, where it is an integer in range, however written.
  package var uint64: UInt64? {
    switch storage {
    case .integer(let value): return UInt64(exactly: value)
    case .unsigned(let value): return value
    case .decimal(let text):
      guard let (isNegative, magnitude) = JSONDecimal.integer(text) else { return nil }
      return isNegative && magnitude != 0 ? nil : magnitude
    }
  }

  /// The nearest double, or nil where that is infinite.
  package var double: Double? {
    switch storage {
    case .integer(let value): return Double(value)
    case .unsigned(let value): return Double(value)
    case .decimal(let text):
      guard let value = Double(text), value.isFinite else { return nil }
      return value
    }
  }
}

extension JSONNumber: Equatable {
  /// Equal as written: 1 and 1.0 differ.
  package static func == (left: JSONNumber, right: JSONNumber) -> Bool {
    switch (left.storage, right.storage) {
    case (.integer(let one), .integer(let other)): one == other
    case (.unsigned(let one), .unsigned(let other)): one == other
    case (.decimal(let one), .decimal(let other)): one == other
    default: false
    }
  }
}

enum JSONDecimal {
  /// The integer that a valid JSON number denotes; nil where it has a fraction or needs more than
  /// 64 bits.
  static func integer(_ text: String) -> (isNegative: Bool, magnitude: UInt64)? {
    var digits: [UInt8] = []
    var fractionDigits = 0
    var exponentText = ""
    var isFraction = false
    var rest = Substring(text).utf8
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative { rest.removeFirst() }
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "."): isFraction = true
      case UInt8(ascii: "e"), UInt8(ascii: "E"):
        exponentText = String(Substring(rest))
        rest = Substring().utf8
      default:
        digits.append(byte - UInt8(ascii: "0"))
        if isFraction { fractionDigits += 1 }
      }
    }
    guard let lastNonZero = digits.lastIndex(where: { $0 != 0 }) else { return (isNegative, 0) }
    // An exponent beyond Int is out of every range, since the digits are not zero.
    guard let exponent = exponentText.isEmpty ? 0 : Int(exponentText) else { return nil }
    let zeros = exponent.subtractingReportingOverflow(
      fractionDigits - (digits.count - 1 - lastNonZero))
    guard !zeros.overflow, 0...19 ~= zeros.partialValue else { return nil }
    var magnitude: UInt64 = 0
    for digit in digits[...lastNonZero] + Array(repeating: 0, count: zeros.partialValue) {
      let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      guard !overflow, !carry else { return nil }
      magnitude = sum
    }
    return (isNegative, magnitude)
  }
}
