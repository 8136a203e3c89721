import Foundation
import Glibc
import JSON

/// A blocking HTTP/1.1 client that sends exactly the bytes of a test.
final class HTTPProbe {
  struct Failure: Error { let what: String }

  private let descriptor: Int32
  private var buffered: [UInt8] = []

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    // A test that waits for ever says nothing.
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if code != 0 { throw Failure(what: "connect: \(errno)") }
  }

  deinit { Glibc.close(descriptor) }

  func send(_ text: String) throws {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { throw Failure(what: "send: \(errno)") }
      rest = rest.dropFirst(count)
    }
  }

  private func fill() throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    if count < 0 { throw Failure(what: "recv: \(errno)") }
    buffered += bytes[..<count]
    return count > 0
  }

  func readToEnd() throws -> String {
    while try fill() {}
    defer { buffered = [] }
    return String(decoding: buffered, as: UTF8.self)
  }

  /// Up to and with `mark`.
  func read(through mark: String) throws -> String {
    let wanted = Array(mark.utf8)
    while true {
      if let range = buffered.firstRange(of: wanted) {
        defer { buffered.removeSubrange(..<range.upperBound) }
        return String(decoding: buffered[..<range.upperBound], as: UTF8.self)
      }
      if try !fill() {
        throw Failure(what: "closed after: \(String(decoding: buffered, as: UTF8.self))")
      }
    }
  }

  /// Sends a request and reads the whole answer, whose end is that of the connection.
  func call(
    _ method: String, _ path: String, token: String? = nil, headers: [String: String] = [:],
    body: String? = nil
  ) throws -> HTTPReply {
    try send(
      HTTPProbe.request(method, path, token: token, headers: headers, body: body, closes: true))
    return HTTPReply(try readToEnd())
  }

  static func request(
    _ method: String, _ path: String, token: String? = nil, headers: [String: String] = [:],
    body: String? = nil, closes: Bool = false
  ) -> String {
    var lines = ["\(method) \(path) HTTP/1.1", "Host: gateway"]
    if closes { lines.append("Connection: close") }
    if let token { lines.append("Authorization: Bearer \(token)") }
    var headers = headers
    if let body {
      lines.append("Content-Length: \(body.utf8.count)")
      if headers["Content-Type"] == nil { headers["Content-Type"] = "application/json" }
    }
    for (name, value) in headers where !value.isEmpty { lines.append("\(name): \(value)") }
    return lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
  }
}

struct HTTPReply {
  let status: Int
  let fields: [String: String]
  let body: String

  init(_ text: String) {
    let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    let lines = parts[0].components(separatedBy: "\r\n")
    status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[line[..<colon].lowercased()] =
        line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    self.fields = fields
    body = parts.count > 1 ? String(parts[1]) : ""
  }

  var json: JSON? { try? JSON(parsing: Array(body.utf8)) }

  /// The text of a member of the document.
  subscript(_ key: String) -> String? { json?.object?[key]?.string }

  /// The fields that a problem says are wrong.
  var wrongFields: [String] {
    json?.object?["errors"]?.array?.compactMap { $0.object?["field"]?.string } ?? []
  }
}
