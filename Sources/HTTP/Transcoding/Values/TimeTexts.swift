/// Seconds and nanoseconds, as `google.protobuf.Timestamp` and `Duration` keep them.
struct SecondsAndNanos: Equatable {
  var seconds: Int64
  var nanos: Int32
}

/// The RFC 3339 form of `google.protobuf.Timestamp`: the years 1 to 9999.
enum TimestampText {
  static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799
  private static let secondsPerDay: Int64 = 86_400

  /// With 0, 3, 6 or 9 digits of a fraction, in UTC; nil out of range.
  static func write(_ time: SecondsAndNanos) -> String? {
    guard secondsRange ~= time.seconds, 0...999_999_999 ~= time.nanos else { return nil }
    let day = time.seconds.floorDivided(by: secondsPerDay)
    let second = time.seconds - day * secondsPerDay
    let date = CivilDate(daysSinceEpoch: day)
    var text: [UInt8] = []
    text.append(date.year, digits: 4)
    text.append(UInt8(ascii: "-"))
    text.append(date.month, digits: 2)
    text.append(UInt8(ascii: "-"))
    text.append(date.day, digits: 2)
    text.append(UInt8(ascii: "T"))
    text.append(second / 3600, digits: 2)
    text.append(UInt8(ascii: ":"))
    text.append(second / 60 % 60, digits: 2)
    text.append(UInt8(ascii: ":"))
    text.append(second % 60, digits: 2)
    text.appendFraction(nanos: time.nanos)
    text.append(UInt8(ascii: "Z"))
    return String(decoding: text, as: UTF8.self)
  }

  /// Nil where the text is no such time or out of range. Any offset is accepted; a leap second is
  /// not.
  static func read(_ text: String) -> SecondsAndNanos? {
    var input = DigitReader(text)
    guard let year = input.number(digits: 4), input.take("-"),
      let month = input.number(digits: 2), input.take("-"),
      let day = input.number(digits: 2), input.take("T"),
      let hour = input.number(digits: 2), input.take(":"),
      let minute = input.number(digits: 2), input.take(":"),
      let second = input.number(digits: 2),
      let nanos = input.fraction(), let offset = offset(&input), input.isAtEnd,
      hour < 24, minute < 60, second < 60,
      let date = CivilDate(year: year, month: month, day: day)
    else { return nil }
    let seconds =
      date.daysSinceEpoch * secondsPerDay + hour * 3600 + minute * 60 + second - offset
    guard secondsRange ~= seconds else { return nil }
    return SecondsAndNanos(seconds: seconds, nanos: nanos)
  }

  private static func offset(_ input: inout DigitReader) -> Int64? {
    if input.take("Z") { return 0 }
    let sign: Int64
    if input.take("+") {
      sign = 1
    } else if input.take("-") {
      sign = -1
    } else {
      return nil
    }
    guard let hours = input.number(digits: 2), input.take(":"),
      let minutes = input.number(digits: 2), hours < 24, minutes < 60
    else { return nil }
    return sign * (hours * 3600 + minutes * 60)
  }
}

/// The form of `google.protobuf.Duration`: seconds with a fraction and the letter s.
enum DurationText {
  /// Some 10,000 years either way.
  static let secondsMax: Int64 = 315_576_000_000

  /// With 0, 3, 6 or 9 digits of a fraction; nil out of range or where the signs differ.
  static func write(_ duration: SecondsAndNanos) -> String? {
    let (seconds, nanos) = (duration.seconds, duration.nanos)
    guard -secondsMax...secondsMax ~= seconds, -999_999_999...999_999_999 ~= nanos,
      seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0)
    else { return nil }
    var text = seconds < 0 || nanos < 0 ? [UInt8(ascii: "-")] : []
    text.append(contentsOf: String(seconds.magnitude).utf8)
    text.appendFraction(nanos: abs(nanos))
    text.append(UInt8(ascii: "s"))
    return String(decoding: text, as: UTF8.self)
  }

  static func read(_ text: String) -> SecondsAndNanos? {
    var input = DigitReader(text)
    let isNegative = input.take("-")
    guard let seconds = input.number(), let nanos = input.fraction(), input.take("s"),
      input.isAtEnd, seconds <= secondsMax
    else { return nil }
    return isNegative
      ? SecondsAndNanos(seconds: -seconds, nanos: -nanos)
      : SecondsAndNanos(seconds: seconds, nanos: nanos)
  }
}

/// A day of the Gregorian calendar, reckoned back before its introduction.
private struct CivilDate {
  let year: Int64
  let month: Int64
  let day: Int64

  private static let daysOfMonths: [Int64] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
  /// The calendar repeats after 400 years.
  private static let daysPerEra: Int64 = 146_097
  /// From 0000-03-01, where eras begin, to 1970-01-01.
  private static let daysToEpoch: Int64 = 719_468

  /// Nil where there is no such day.
  init?(year: Int64, month: Int64, day: Int64) {
    guard 1...9999 ~= year, 1...12 ~= month else { return nil }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = Self.daysOfMonths[Int(month) - 1] + (isLeap && month == 2 ? 1 : 0)
    guard 1...days ~= day else { return nil }
    (self.year, self.month, self.day) = (year, month, day)
  }

  /// Years are counted from March here, so that the leap day is their last.
  init(daysSinceEpoch: Int64) {
    let days = daysSinceEpoch + Self.daysToEpoch
    let era = days.floorDivided(by: Self.daysPerEra)
    let dayOfEra = days - era * Self.daysPerEra
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  var daysSinceEpoch: Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted.floorDivided(by: 400)
    let yearOfEra = shifted - era * 400
    let monthFromMarch = month > 2 ? month - 3 : month + 9
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * Self.daysPerEra + dayOfEra - Self.daysToEpoch
  }
}

/// Reads digits and signs from the beginning of a text.
private struct DigitReader {
  private var rest: Substring.UTF8View

  init(_ text: String) {
    rest = text[...].utf8
  }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func digit() -> Int64? {
    guard let byte = rest.first, byte &- UInt8(ascii: "0") < 10 else { return nil }
    rest.removeFirst()
    return Int64(byte - UInt8(ascii: "0"))
  }

  mutating func number(digits: Int) -> Int64? {
    var value: Int64 = 0
    for _ in 0..<digits {
      guard let digit = digit() else { return nil }
      value = value * 10 + digit
    }
    return value
  }

  /// As many digits as there are: at least one, and no more than fit.
  mutating func number() -> Int64? {
    guard var value = digit() else { return nil }
    var count = 1
    while let digit = digit() {
      count += 1
      guard count <= 18 else { return nil }
      value = value * 10 + digit
    }
    return value
  }

  /// "." and 1 to 9 digits, as nanoseconds; 0 where there is no ".".
  mutating func fraction() -> Int32? {
    guard take(".") else { return 0 }
    guard var nanos = digit() else { return nil }
    var count = 1
    while let digit = digit() {
      count += 1
      guard count <= 9 else { return nil }
      nanos = nanos * 10 + digit
    }
    for _ in count..<9 { nanos *= 10 }
    return Int32(nanos)
  }
}

extension Int64 {
  fileprivate func floorDivided(by divisor: Int64) -> Int64 {
    let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? quotient - 1 : quotient
  }
}

extension [UInt8] {
  fileprivate mutating func append(_ value: Int64, digits: Int) {
    var divisor = (1..<digits).reduce(Int64(1)) { product, _ in product * 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
      divisor /= 10
    }
  }

  fileprivate mutating func appendFraction(nanos: Int32) {
    if nanos == 0 { return }
    append(UInt8(ascii: "."))
    if nanos % 1_000_000 == 0 {
      append(Int64(nanos / 1_000_000), digits: 3)
    } else if nanos % 1000 == 0 {
      append(Int64(nanos / 1000), digits: 6)
    } else {
      append(Int64(nanos), digits: 9)
    }
  }
}
