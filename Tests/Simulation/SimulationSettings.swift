import Configuration
import Glibc
import Logging
import ProvisionerService
import Resilience

extension Simulation {
  /// As the services have them, but for the times of steps: a run is short.
  var settings: EngineSettings {
    var settings = EngineSettings()
    settings.stepTimeout = .seconds(40)
    settings.limits.perTenant = 3
    settings.recovery = seed % 8 == 0 ? .fail : .resume
    return settings
  }

  /// The time as the server is told it.
  var timestamp: String {
    let seconds = Machine.epoch / 1_000_000_000 + time / 1_000_000_000
    var parts = tm()
    var clock = time_t(seconds)
    gmtime_r(&clock, &parts)
    func pad(_ value: Int, _ width: Int) -> String {
      let text = String(value)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let date =
      "\(1_900 + parts.tm_year)-\(pad(Int(parts.tm_mon) + 1, 2))-\(pad(Int(parts.tm_mday), 2))"
    let hour =
      "\(pad(Int(parts.tm_hour), 2)):\(pad(Int(parts.tm_min), 2)):\(pad(Int(parts.tm_sec), 2))"
    return "\(date) \(hour).\(pad(Int(time / 1_000 % 1_000_000), 6))+00"
  }

  /// What a machine logs is part of the trace.
  func logger(_ machine: Machine) -> Logger {
    Logger(label: machine.name) { _ in
      Handler(trace: trace, name: machine.name, folder: environment.folder)
    }
  }

  private struct Handler: LogHandler, @unchecked Sendable {
    let trace: Trace
    let name: String
    /// Of the database's socket, which is another one each time.
    let folder: String
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let values = (event.metadata ?? [:]).map { "\($0.key)=\($0.value)" }.sorted()
      let words = "\(event.message) \(values.joined(separator: " "))"
      trace.add("\(name) says: \(words.replacing(folder, with: ""))")
    }
  }
}
