import Glibc

/// A calendar time in UTC to the millisecond, as RFC 3339 writes it.
struct Timestamp {
  let seconds: Int
  let milliseconds: Int

  static func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
  }

  /// `2026-11-21T03:17:18.042Z`, for the years 0 to 9999.
  func append(to line: inout LineBuffer) {
    let (days, secondOfDay) = Self.floorDivide(seconds, by: 86_400)
    let (year, month, day) = Self.date(daysSince1970: days)
    line.append(year, width: 4)
    line.append(UInt8(ascii: "-"))
    line.append(month, width: 2)
    line.append(UInt8(ascii: "-"))
    line.append(day, width: 2)
    line.append(UInt8(ascii: "T"))
    line.append(secondOfDay / 3600, width: 2)
    line.append(UInt8(ascii: ":"))
    line.append(secondOfDay / 60 % 60, width: 2)
    line.append(UInt8(ascii: ":"))
    line.append(secondOfDay % 60, width: 2)
    line.append(UInt8(ascii: "."))
    line.append(milliseconds, width: 3)
    line.append(UInt8(ascii: "Z"))
  }

  /// The proleptic Gregorian date. Years are counted from March, so that the leap day is a year's last,
  /// in eras of 400 years (146,097 days).
  static func date(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
    let (era, dayOfEra) = floorDivide(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }

  private static func floorDivide(_ value: Int, by divisor: Int) -> (quotient: Int, rest: Int) {
    let (quotient, rest) = value.quotientAndRemainder(dividingBy: divisor)
    return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
  }
}
