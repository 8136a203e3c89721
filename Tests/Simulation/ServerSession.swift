import CLibpq
import Glibc

/// Where bytes are read to.
final class Scratch {
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 8)

  deinit { buffer.deallocate() }

  /// What a descriptor has; empty at its end, nil where it has nothing now.
  func read(_ descriptor: Int32) -> UnsafeRawBufferPointer? {
    let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    return count < 0 ? nil : UnsafeRawBufferPointer(rebasing: buffer[..<count])
  }
}

/// A session with the real server that waits for each answer: nothing else happens meanwhile.
final class ServerSession {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private let connection: OpaquePointer
  private let descriptor: Int32
  private let scratch = Scratch()
  private var input: [UInt8] = []
  private var position = 0
  /// The statements that the server has prepared here.
  var prepared: Set<String> = []
  /// Of the process that serves it.
  private(set) var process = ""

  init(url: String) throws {
    // libpq logs in; from then on the socket is ours.
    guard let connection = PQconnectdb(url), PQstatus(connection) == CONNECTION_OK else {
      throw Failure(description: "no session with the database")
    }
    self.connection = connection
    descriptor = PQsocket(connection)
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK)
    process = String(PQbackendPID(connection))
  }

  deinit { PQfinish(connection) }

  /// Sends messages and takes what comes back up to so many signs that the server is ready.
  func exchange(_ bytes: [UInt8], syncs: Int) throws -> [WireMessage] {
    try send(bytes)
    return try receive(syncs: syncs)
  }

  /// Waits for more of an answer; whether all of it is there, up to so many signs that the server is ready.
  func awaitAnswer(syncs: Int, milliseconds: Int32) throws -> Bool {
    var event = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    if poll(&event, 1, milliseconds) > 0 { try readMore() }
    var (at, count) = (position, 0)
    while let message = WireMessage(input, at: &at) { if message.is("Z") { count += 1 } }
    return count >= syncs
  }

  func send(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        write(descriptor, $0.baseAddress! + sent, $0.count - sent)
      }
      if count <= 0 { throw Failure(description: "the database hung up") }
      sent += count
    }
  }

  func receive(syncs: Int) throws -> [WireMessage] {
    var answers: [WireMessage] = []
    var left = syncs
    while left > 0 {
      let message = try next()
      if message.is("Z") { left -= 1 }
      answers.append(message)
    }
    return answers
  }

  private func next() throws -> WireMessage {
    while true {
      if let message = WireMessage(input, at: &position) { return message }
      input.removeSubrange(..<position)
      position = 0
      try readMore()
    }
  }

  private func readMore() throws {
    guard let part = scratch.read(descriptor), !part.isEmpty else {
      throw Failure(description: "the database hung up")
    }
    input += part
  }

  /// Runs a script; the rows of its statements.
  @discardableResult
  func query(_ sql: String) throws -> [[String?]] {
    var bytes: [UInt8] = []
    WireMessage("Q", sql.utf8 + [0]).append(to: &bytes)
    var rows: [[String?]] = []
    for message in try exchange(bytes, syncs: 1) {
      if message.is("E") {
        throw Failure(
          description: "\(sql.prefix(200)): \(String(decoding: message.body, as: UTF8.self))")
      }
      if message.is("D") { rows.append(ServerSession.row(message)) }
    }
    return rows
  }

  private static func row(_ message: WireMessage) -> [String?] {
    var position = 2
    return (0..<(Int(message.body[0]) << 8 | Int(message.body[1]))).map { _ in
      let length = WireMessage.int32(message.body, at: position)
      position += 4
      if length == 0xffff_ffff { return nil }
      defer { position += length }
      return String(decoding: message.body[position..<(position + length)], as: UTF8.self)
    }
  }
}
