import ArgumentParser
import JSON

/// How often the platform backs a store up by itself, as it is given and shown: `12h`, `default`, `never`.
struct BackupInterval: ExpressibleByArgument, CustomStringConvertible {
  /// Nil for the platform's own, 0 for never.
  let seconds: Int64?

  init?(argument: String) {
    switch argument {
    case "default": seconds = nil
    case "never": seconds = 0
    default:
      guard let unit = argument.last.flatMap({ Self.units[$0] }),
        argument.utf8.dropLast().allSatisfy({ (0x30...0x39).contains($0) }),
        let count = Int64(argument.dropLast()), count > 0
      else { return nil }
      let (product, isTooLong) = count.multipliedReportingOverflow(by: unit)
      if isTooLong { return nil }
      seconds = product
    }
  }

  /// - Parameter schedule: the `backupSchedule` of a store.
  init(of schedule: JSON) {
    if schedule["never"].bool == true {
      seconds = 0
    } else {
      let text = schedule["interval"].text
      seconds = text.hasSuffix("s") ? Int64(text.dropLast()) : nil
    }
  }

  private static let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]

  var description: String {
    switch seconds {
    case nil: return "default"
    case 0?: return "never"
    case let seconds?:
      let unit = Self.units.filter { seconds % $0.value == 0 }.max { $0.value < $1.value }
      return unit.map { "\(seconds / $0.value)\($0.key)" } ?? "\(seconds)s"
    }
  }

  /// As it is shown.
  var words: String { (seconds ?? 0) > 0 ? "every \(self)" : description }

  /// As a request has it.
  var document: JSON {
    switch seconds {
    case nil: [:]
    case 0?: ["never": true]
    case let seconds?: ["interval": .string("\(seconds)s")]
    }
  }
}
