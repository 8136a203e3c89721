import Foundation
import Glibc

/// An instant as the gateway tells it (RFC 3339), to be shown in the user's time zone.
struct WallTime: Equatable, Sendable {
  let seconds: Int64
  let nanoseconds: Int64

  static var now: WallTime {
    let now = Date().timeIntervalSince1970
    return WallTime(
      seconds: Int64(now.rounded(.down)),
      nanoseconds: Int64(now.truncatingRemainder(dividingBy: 1) * 1e9))
  }

  init(seconds: Int64, nanoseconds: Int64 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// Nil where the text is no time.
  init?(_ text: String) {
    var whole = text
    var fraction = ""
    if let dot = text.firstIndex(of: ".") {
      let rest = text[text.index(after: dot)...]
      fraction = String(rest.prefix { $0.isNumber && $0.isASCII })
      whole = String(text[..<dot] + rest.dropFirst(fraction.count))
      guard (1...9).contains(fraction.count) else { return nil }
    }
    guard let date = try? Date(whole, strategy: .iso8601) else { return nil }
    seconds = Int64(date.timeIntervalSince1970)
    nanoseconds = Int64(fraction + String(repeating: "0", count: 9 - fraction.count)) ?? 0
  }

  func adding(seconds difference: Int64) -> WallTime {
    WallTime(seconds: seconds + difference, nanoseconds: nanoseconds)
  }

  func seconds(since earlier: WallTime) -> Double {
    Double(seconds - earlier.seconds) + Double(nanoseconds - earlier.nanoseconds) / 1e9
  }

  /// As in `2026-11-21T06:30:00Z`.
  var rfc3339: String {
    Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601)
  }

  /// As in `2026-11-21 06:30:00`, local.
  var dateAndTime: String {
    let local = localTime
    return Self.padded(Int(local.tm_year) + 1900, 4) + "-" + Self.padded(Int(local.tm_mon) + 1, 2)
      + "-" + Self.padded(Int(local.tm_mday), 2) + " " + timeOfDay
  }

  /// As in `06:30:00`, local.
  var timeOfDay: String {
    let local = localTime
    return [local.tm_hour, local.tm_min, local.tm_sec]
      .map { Self.padded(Int($0), 2) }.joined(separator: ":")
  }

  private var localTime: tm {
    var time = time_t(seconds)
    var local = tm()
    localtime_r(&time, &local)
    return local
  }

  private static func padded(_ number: Int, _ digits: Int) -> String {
    let text = "\(number)"
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}

extension String {
  /// A time of the gateway's for a table: local, or as it is where it is none.
  var asLocalTime: String { WallTime(self)?.dateAndTime ?? self }
}

/// A span of time as people write it.
enum SpanText {
  /// Whole seconds of `90s`, `15m`, `2h`, `7d`, or of a number of seconds; nil otherwise.
  static func seconds(_ text: String) -> Int64? {
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let unit = text.last.flatMap { units[$0] }
    let digits = unit == nil ? text[...] : text.dropLast()
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
      let number = Int64(digits), number <= 1_000_000_000
    else { return nil }
    return number * (unit ?? 1)
  }

  /// As in `0.4 s`, `12 s`, `3 min 5 s`.
  static func text(seconds: Double) -> String {
    if seconds < 9.95 { return "\((max(0, seconds) * 10).rounded() / 10) s" }
    let whole = Int64(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
