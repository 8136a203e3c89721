import Glibc
package import Logging

/// `LOG_FORMAT`.
package enum LogFormat: String, Sendable, CaseIterable {
  /// A JSON object a line, for machines.
  case json
  /// For a person at a terminal; coloured when it is one.
  case human
}

/// Where and how a process logs. Made once at the start and installed under swift-log, whose `Logger`
/// the rest of the code uses.
package final class LogBackend: Sendable {
  let service: String
  let format: LogFormat
  let isColoured: Bool
  let level: Logger.Level
  private let sink: LogSink

  /// - Parameters:
  ///   - service: the name every line carries.
  ///   - level: lines below it are not made at all.
  ///   - descriptor: an open one, which stays the caller's; stderr unless given.
  package init(
    service: String, format: LogFormat, level: Logger.Level, descriptor: Int32 = STDERR_FILENO
  ) {
    self.service = service
    self.format = format
    self.level = level
    sink = LogSink(descriptor: descriptor)
    isColoured = format == .human && sink.isTerminal
  }

  /// Makes every `Logger` of the process log here. Once a process, before the first logger is made.
  package func install() {
    LoggingSystem.bootstrap { label in StructuredLogHandler(label: label, backend: self) }
  }

  /// A logger that needs no `install`.
  package func logger(label: String) -> Logger {
    Logger(label: label) { StructuredLogHandler(label: $0, backend: self) }
  }

  /// Lines that were dropped since the start because nobody read them.
  package var droppedLines: Int { sink.droppedLines }

  func log(_ event: LogEvent, label: String, metadata: Logger.Metadata) {
    reportDroppedLines()
    let entry = LogEntry(
      time: .now(), level: event.level, message: event.message.description, error: event.error,
      service: service, label: label == service ? nil : label, context: RequestContext.current,
      metadata: metadata)
    if !emit(entry) { sink.countDropped() }
  }

  private func reportDroppedLines() {
    let lines = sink.unreportedLines
    guard lines > 0 else { return }
    let entry = LogEntry(
      time: .now(), level: .warning,
      message: "log lines were dropped: what reads this log does not keep up", error: nil,
      service: service, label: nil, context: nil, metadata: ["lines": .stringConvertible(lines)])
    if emit(entry) { sink.didReport(lines) }
  }

  private func emit(_ entry: LogEntry) -> Bool {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: LineBuffer.bytesMaximum) { storage in
      var line = LineBuffer(storage: storage)
      switch format {
      case .json: entry.appendJSON(to: &line)
      case .human: entry.appendHuman(to: &line, coloured: isColoured)
      }
      return sink.write(line.bytes)
    }
  }
}

/// The swift-log handler: joins the metadata of logger, provider and call, and hands it on.
struct StructuredLogHandler: LogHandler {
  let label: String
  let backend: LogBackend
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  init(label: String, backend: LogBackend) {
    self.label = label
    self.backend = backend
    logLevel = backend.level
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    if metadata.isEmpty && metadataProvider == nil {
      return backend.log(event, label: label, metadata: event.metadata ?? [:])
    }
    var joined = metadata
    if let provided = metadataProvider?.get() { joined.merge(provided) { $1 } }
    if let given = event.metadata { joined.merge(given) { $1 } }
    backend.log(event, label: label, metadata: joined)
  }
}
