/// A message of PostgreSQL's protocol 3 (its manual, chapter "Message Formats"), either way.
struct WireMessage {
  let type: UInt8
  var body: [UInt8]

  init(_ type: Unicode.Scalar, _ body: [UInt8] = []) {
    self.type = UInt8(ascii: type)
    self.body = body
  }

  /// Takes the message that `buffer` has at `position`, and moves on; nil where it is not whole yet.
  init?(_ buffer: [UInt8], at position: inout Int) {
    guard buffer.count - position >= 5 else { return nil }
    let length = WireMessage.int32(buffer, at: position + 1)
    guard buffer.count - position > length else { return nil }
    type = buffer[position]
    body = Array(buffer[(position + 5)..<(position + 1 + length)])
    position += 1 + length
  }

  func append(to buffer: inout [UInt8]) {
    buffer.append(type)
    WireMessage.append(int32: body.count + 4, to: &buffer)
    buffer += body
  }

  func `is`(_ letter: Unicode.Scalar) -> Bool { type == UInt8(ascii: letter) }

  /// The text that starts at `position` and ends with a zero; moves behind it.
  func text(at position: inout Int) -> String {
    let start = position
    while position < body.count, body[position] != 0 { position += 1 }
    defer { position += 1 }
    return String(decoding: body[start..<position], as: UTF8.self)
  }

  static func int32(_ buffer: [UInt8], at position: Int) -> Int {
    buffer[position..<(position + 4)].reduce(0) { $0 << 8 | Int($1) }
  }

  static func append(int32 value: Int, to buffer: inout [UInt8]) {
    for shift in [24, 16, 8, 0] { buffer.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}

extension WireMessage {
  static let parseComplete = WireMessage("1")
  static let bindComplete = WireMessage("2")
  static let closeComplete = WireMessage("3")
  static let noData = WireMessage("n")
  static let sync = WireMessage("S")

  /// - Parameter status: I outside of a transaction, T in one, E in one that has failed.
  static func ready(_ status: Unicode.Scalar) -> WireMessage {
    WireMessage("Z", [UInt8(ascii: status)])
  }

  static func complete(_ tag: String) -> WireMessage { WireMessage("C", tag.utf8 + [0]) }

  static func failure(_ sqlState: String, _ message: String) -> WireMessage {
    let fields = ["SERROR", "VERROR", "C\(sqlState)", "M\(message)"]
    return WireMessage("E", fields.flatMap { $0.utf8 + [0] } + [0])
  }

  static func parameter(_ name: String, _ value: String) -> WireMessage {
    WireMessage("S", name.utf8 + [0] + value.utf8 + [0])
  }

  static func parse(_ name: String, _ sql: String, types: ArraySlice<UInt8>) -> WireMessage {
    WireMessage("P", name.utf8 + [0] + sql.utf8 + [0] + types)
  }

  /// Binds texts to a prepared statement.
  static func bind(_ name: String, _ values: [String]) -> WireMessage {
    var body: [UInt8] = [0] + name.utf8 + [0, 0, 0, 0, UInt8(values.count)]
    for value in values {
      append(int32: value.utf8.count, to: &body)
      body += value.utf8
    }
    return WireMessage("B", body + [0, 0])
  }

  static let execute = WireMessage("E", [0, 0, 0, 0, 0])
}
