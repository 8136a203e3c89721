import Glibc

/// The `date` field (RFC 9110 section 5.6.7), formatted once a second.
struct HTTPDate {
  private var second: time_t = -1
  private var formatted = ""

  mutating func text() -> String {
    let now = time(nil)
    if now == second { return formatted }
    second = now
    formatted = HTTPDate.format(now)
    return formatted
  }

  static func format(_ time: time_t) -> String {
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    var time = time
    var parts = tm()
    gmtime_r(&time, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let day = "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)])"
    let clock = "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    return "\(day) \(parts.tm_year + 1900) \(clock) GMT"
  }
}
