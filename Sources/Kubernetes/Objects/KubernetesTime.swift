/// Times as the API writes them: RFC 3339 in UTC, to the second or with a fraction.
package enum KubernetesTime {
  /// Seconds since 1970-01-01T00:00:00Z; nil for text that is no such time.
  package static func seconds(_ text: String) -> Int64? {
    let bytes = Array(text.utf8)
    guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
      bytes[10] == UInt8(ascii: "T"), bytes[13] == UInt8(ascii: ":"),
      bytes[16] == UInt8(ascii: ":")
    else { return nil }
    func number(_ range: Range<Int>) -> Int64? {
      var value: Int64 = 0
      for byte in bytes[range] {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int64(byte - UInt8(ascii: "0"))
      }
      return value
    }
    guard let year = number(0..<4), let month = number(5..<7), (1...12).contains(month),
      let day = number(8..<10), (1...31).contains(day),
      let hour = number(11..<13), hour < 24, let minute = number(14..<16), minute < 60,
      let second = number(17..<19), second <= 60, let offset = offset(bytes[19...])
    else { return nil }
    return days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset
  }

  /// The zone's seconds east of UTC, behind an optional fraction.
  private static func offset(_ bytes: ArraySlice<UInt8>) -> Int64? {
    var rest = bytes
    if rest.first == UInt8(ascii: ".") {
      rest = rest.dropFirst().drop { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
    if rest.elementsEqual([UInt8(ascii: "Z")]) { return 0 }
    guard rest.count == 6, let sign = rest.first,
      let hours = Int64(String(decoding: rest.dropFirst().prefix(2), as: UTF8.self)),
      let minutes = Int64(String(decoding: rest.suffix(2), as: UTF8.self)),
      sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-")
    else { return nil }
    return (sign == UInt8(ascii: "-") ? -1 : 1) * (hours * 3600 + minutes * 60)
  }

  /// Days since 1970-01-01 of a date of the Gregorian calendar: years start in March, so that the
  /// leap day comes last.
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let era = shifted / 400
    let yearOfEra = shifted % 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }
}
