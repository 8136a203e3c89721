/// An error as `application/problem+json` (RFC 9457).
struct HTTPProblem {
  static let contentType = "application/problem+json"

  let status: HTTPStatus
  /// For the client; never an internal error's words.
  let detail: String?

  init(_ status: HTTPStatus, _ detail: String? = nil) {
    self.status = status
    self.detail = detail
  }

  func head(_ headers: HTTPHeaders = [:]) -> HTTPResponseHead {
    var headers = headers
    headers["content-type"] = Self.contentType
    headers["cache-control"] = "no-store"
    return HTTPResponseHead(status: status, headers: headers)
  }

  var body: [UInt8] {
    var text = #"{"type":"about:blank","title":\#(HTTPProblem.quoted(status.reasonPhrase))"#
    text += #","status":\#(status.code)"#
    if let detail { text += #","detail":\#(HTTPProblem.quoted(detail))"# }
    return Array((text + "}\n").utf8)
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": result += "\\\(scalar)"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
