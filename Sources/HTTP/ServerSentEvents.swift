/// One event of a `text/event-stream` (WHATWG HTML, "Server-sent events").
package struct ServerSentEvent: Equatable, Sendable {
  /// Sent back by a client in Last-Event-ID when it reconnects. Nil: not changed by this event.
  package var id: String?
  /// Event type; nil is "message".
  package var name: String?
  package var data: String
  /// How long a client waits before it reconnects.
  package var retryMilliseconds: UInt64?

  package init(
    id: String? = nil, name: String? = nil, data: String, retryMilliseconds: UInt64? = nil
  ) {
    self.id = id
    self.name = name
    self.data = data
    self.retryMilliseconds = retryMilliseconds
  }
}

package enum ServerSentEventError: Error, Equatable, Sendable, CustomStringConvertible {
  /// An id or name with a line break or NUL, which would become another field or be dropped.
  case fieldInvalid(String)
  case lineTooLong(bytesMax: Int)
  case eventTooLarge(bytesMax: Int)
  case notUTF8

  package var description: String {
    switch self {
    case .fieldInvalid(let field): "an event's \(field) has a line break or a NUL"
    case .lineTooLong(let bytesMax): "a line of the event stream has more than \(bytesMax) bytes"
    case .eventTooLarge(let bytesMax): "an event has more than \(bytesMax) bytes of data"
    case .notUTF8: "the event stream is not UTF-8"
    }
  }
}

package enum ServerSentEventEncoder {
  /// A comment: nothing to a client, but traffic, so that idle connections are not cut.
  package static let heartbeat: [UInt8] = Array(":\n\n".utf8)

  package static func write(
    _ event: ServerSentEvent, into output: inout [UInt8]
  ) throws(ServerSentEventError) {
    for (field, value) in [("id", event.id), ("name", event.name)] {
      guard value?.utf8.contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) != true else {
        throw .fieldInvalid(field)
      }
    }
    if let id = event.id { output.append(contentsOf: "id: \(id)\n".utf8) }
    if let name = event.name { output.append(contentsOf: "event: \(name)\n".utf8) }
    if let retry = event.retryMilliseconds { output.append(contentsOf: "retry: \(retry)\n".utf8) }
    output.append(contentsOf: "data: ".utf8)
    var previous: UInt8 = 0
    for byte in event.data.utf8 {
      // CR, LF and CRLF each end a line; all are sent as LF.
      if byte == .carriageReturn || (byte == .lineFeed && previous != .carriageReturn) {
        output.append(contentsOf: "\ndata: ".utf8)
      } else if byte != .lineFeed {
        output.append(byte)
      }
      previous = byte
    }
    output.append(contentsOf: "\n\n".utf8)
  }
}

/// Reads an event stream: bytes in, events out; comments and unknown fields are skipped.
package struct ServerSentEventDecoder {
  package struct Limits: Equatable, Sendable {
    /// A stream without line breaks must not fill the memory.
    package var lineBytesMax = 256 * 1024
    /// Neither must an event without an end.
    package var eventBytesMax = 1024 * 1024

    package init() {}
  }

  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private let limits: Limits
  private var line: [UInt8] = []
  private var previousWasCarriageReturn = false
  private var isFirstLine = true
  private var event = ServerSentEvent(data: "")
  private var dataLines: [String] = []
  private var dataBytes = 0

  /// What to send as Last-Event-ID after a reconnection.
  package private(set) var lastEventID: String?

  package init(limits: Limits = Limits()) {
    self.limits = limits
  }

  /// Returns the events that these bytes complete. A stream's last event counts only with the
  /// empty line behind it.
  package mutating func receive(
    _ bytes: Span<UInt8>
  ) throws(ServerSentEventError) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for index in bytes.indices {
      let byte = bytes[index]
      defer { previousWasCarriageReturn = byte == .carriageReturn }
      guard byte == .lineFeed || byte == .carriageReturn else {
        guard line.count < limits.lineBytesMax else {
          throw .lineTooLong(bytesMax: limits.lineBytesMax)
        }
        line.append(byte)
        continue
      }
      if byte == .lineFeed, previousWasCarriageReturn { continue }
      if let event = try endLine() { events.append(event) }
    }
    return events
  }

  private mutating func endLine() throws(ServerSentEventError) -> ServerSentEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    if isFirstLine, line.starts(with: Self.byteOrderMark) { line.removeFirst(3) }
    isFirstLine = false
    guard !line.isEmpty else { return dispatch() }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.count
    var value = line[min(colon + 1, line.count)...]
    if value.first == .space { value.removeFirst() }
    guard let name = String(validating: line[..<colon], as: UTF8.self),
      let text = String(validating: value, as: UTF8.self)
    else { throw .notUTF8 }
    switch name {
    case "data":
      dataBytes += value.count + 1
      guard dataBytes <= limits.eventBytesMax else {
        throw .eventTooLarge(bytesMax: limits.eventBytesMax)
      }
      dataLines.append(text)
    case "event": event.name = text.isEmpty ? nil : text
    case "id" where !value.contains(0): event.id = text
    case "retry" where !value.isEmpty && value.allSatisfy(\.isDigit):
      event.retryMilliseconds = UInt64(text)
    default: break
    }
    return nil
  }

  /// An event without data is no event, but its id counts.
  private mutating func dispatch() -> ServerSentEvent? {
    defer {
      event = ServerSentEvent(data: "")
      dataLines = []
      dataBytes = 0
    }
    if let id = event.id { lastEventID = id }
    guard !dataLines.isEmpty else { return nil }
    event.data = dataLines.joined(separator: "\n")
    return event
  }
}
