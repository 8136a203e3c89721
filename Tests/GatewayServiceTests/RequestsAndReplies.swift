import Foundation
import JSON
import TestKit

extension RawClient {
  /// Sends a request and reads the whole answer, whose end is that of the connection.
  func call(
    _ method: String, _ path: String, token: String? = nil, headers: [String: String] = [:],
    body: String? = nil
  ) throws -> HTTPReply {
    try send(
      RawClient.request(method, path, token: token, headers: headers, body: body, closes: true))
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
