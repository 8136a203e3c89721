/// Seconds since 1970 as text.
package enum Timestamp {
  /// The last second of the year 9999.
  static let secondsMax: Int64 = 253_402_300_799
  static let secondsPerDay: Int64 = 86_400

  /// As `2026-01-31T23:59:59Z`.
  package static func text(_ seconds: Int64) -> String {
    let second = ((seconds % secondsPerDay) + secondsPerDay) % secondsPerDay
    let (year, month, day) = date(daysSince1970: (seconds - second) / secondsPerDay)
    let clock = [second / 3600, second / 60 % 60, second % 60]
    return [year, month, day].map(twoDigits).joined(separator: "-") + "T"
      + clock.map(twoDigits).joined(separator: ":") + "Z"
  }

  /// The date in the Gregorian calendar. Years are counted from March here, so that the leap day is
  /// the last of its year, and in periods of 400 years, which all have the same length.
  private static func date(
    daysSince1970: Int64
  ) -> (year: Int64, month: Int64, day: Int64) {
    let daysPerPeriod: Int64 = 146_097
    let days = daysSince1970 + 719_468
    let period = (days >= 0 ? days : days - (daysPerPeriod - 1)) / daysPerPeriod
    let dayOfPeriod = days - period * daysPerPeriod
    let leapCorrection = dayOfPeriod / 1_460 - dayOfPeriod / 36_524 + dayOfPeriod / 146_096
    let yearOfPeriod = (dayOfPeriod - leapCorrection) / 365
    let dayOfYear = dayOfPeriod - (365 * yearOfPeriod + yearOfPeriod / 4 - yearOfPeriod / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfPeriod + period * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
  }

  private static func twoDigits(_ number: Int64) -> String {
    number < 10 ? "0\(number)" : "\(number)"
  }
}
