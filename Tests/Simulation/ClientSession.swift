import Glibc

/// The far end of a connection to the database, as one client sees it.
final class ClientSession {
  let number: Int
  let descriptor: Int32
  /// The machine at the near end, and its role; known once it has introduced itself.
  private(set) var machine: Machine?
  private(set) var user = ""
  private(set) var isClosed = false
  /// What it calls its statements, by what the server does.
  var statements: [String: String] = [:]
  /// What its statements are, for people.
  var labels: [String: StatementLabel] = [:]
  var channels: Set<String> = []
  /// As the client knows it: idle, in a transaction, or in one that has failed.
  var status: Unicode.Scalar = "I"
  /// The server has undone the transaction that the client still thinks it is in.
  var isUndone = false
  /// The server's end of it while it has a transaction open, and since when that has stood still.
  var session: ServerSession?
  var heldSince: Int64 = 0
  /// A batch of it is with the server, or on the way there or back.
  var isBusy = false
  /// Whole batches, each up to a synchronisation point.
  private(set) var batches: [[WireMessage]] = []
  private var input: [UInt8] = []
  private var batch: [WireMessage] = []

  private let scratch: Scratch

  init(_ number: Int, _ descriptor: Int32, _ scratch: Scratch) {
    self.number = number
    self.scratch = scratch
    self.descriptor = descriptor
  }

  func takeBatch() -> [WireMessage] { batches.removeFirst() }

  /// Takes what the client has sent; false once it has hung up.
  func receive(find: (String) -> Machine?) -> Bool {
    while let part = scratch.read(descriptor) {
      if part.isEmpty { return false }
      input += part
    }
    if machine == nil { introduce(find) }
    if machine == nil { return true }
    var position = 0
    while let message = WireMessage(input, at: &position) {
      if message.is("X") { return false }
      batch.append(message)
      if message.is("S") {
        batches.append(batch)
        batch = []
      }
    }
    input.removeSubrange(..<position)
    return true
  }

  /// Reads the startup message: pairs of names and values.
  private func introduce(_ find: (String) -> Machine?) {
    guard input.count >= 8 else { return }
    let length = WireMessage.int32(input, at: 0)
    guard input.count >= length else { return }
    let words = input[8..<length].split(separator: 0, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }
    input.removeSubrange(..<length)
    for index in stride(from: 0, to: words.count - 1, by: 2) {
      if words[index] == "user" { user = words[index + 1] }
      if words[index] == "application_name" { machine = find(words[index + 1]) }
    }
  }

  func send(_ messages: [WireMessage]) {
    if isClosed { return }
    var bytes: [UInt8] = []
    for message in messages { message.append(to: &bytes) }
    // A client reads as it comes; what its socket does not take at once is a fault of the simulation.
    let count = bytes.withUnsafeBytes {
      Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    precondition(count == bytes.count || count < 0, "\(bytes.count) bytes for a client at once")
    machine?.needsTurn = true
  }

  func welcome() {
    send([
      WireMessage("R", [0, 0, 0, 0]), .parameter("server_version", "16.0"),
      .parameter("client_encoding", "UTF8"), .parameter("standard_conforming_strings", "on"),
      .parameter("integer_datetimes", "on"),
      WireMessage("K", [0, 0, 0, UInt8(truncatingIfNeeded: number), 0, 0, 0, 1]), .ready("I"),
    ])
  }

  func close() {
    if isClosed { return }
    isClosed = true
    Glibc.close(descriptor)
    machine?.needsTurn = true
  }
}
