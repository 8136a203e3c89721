/// A status code (RFC 9110 section 15), 100 to 999.
package struct HTTPStatus: Hashable, Sendable, CustomStringConvertible {
  package let code: Int

  /// Nil outside 100...999, which cannot be written as three digits.
  package init?(code: Int) {
    guard 100...999 ~= code else { return nil }
    self.code = code
  }

  private init(known code: Int) {
    self.code = code
  }

  package static let `continue` = HTTPStatus(known: 100)
  package static let switchingProtocols = HTTPStatus(known: 101)
  package static let ok = HTTPStatus(known: 200)
  package static let created = HTTPStatus(known: 201)
  package static let accepted = HTTPStatus(known: 202)
  package static let noContent = HTTPStatus(known: 204)
  package static let notModified = HTTPStatus(known: 304)
  package static let badRequest = HTTPStatus(known: 400)
  package static let unauthorized = HTTPStatus(known: 401)
  package static let forbidden = HTTPStatus(known: 403)
  package static let notFound = HTTPStatus(known: 404)
  package static let methodNotAllowed = HTTPStatus(known: 405)
  package static let requestTimeout = HTTPStatus(known: 408)
  package static let conflict = HTTPStatus(known: 409)
  package static let lengthRequired = HTTPStatus(known: 411)
  package static let preconditionFailed = HTTPStatus(known: 412)
  package static let contentTooLarge = HTTPStatus(known: 413)
  package static let targetTooLong = HTTPStatus(known: 414)
  package static let unsupportedMediaType = HTTPStatus(known: 415)
  package static let expectationFailed = HTTPStatus(known: 417)
  package static let unprocessableContent = HTTPStatus(known: 422)
  package static let tooManyRequests = HTTPStatus(known: 429)
  package static let headerFieldsTooLarge = HTTPStatus(known: 431)
  package static let clientClosedRequest = HTTPStatus(known: 499)
  package static let internalServerError = HTTPStatus(known: 500)
  package static let notImplemented = HTTPStatus(known: 501)
  package static let badGateway = HTTPStatus(known: 502)
  package static let serviceUnavailable = HTTPStatus(known: 503)
  package static let gatewayTimeout = HTTPStatus(known: 504)
  package static let versionNotSupported = HTTPStatus(known: 505)

  package var isInformational: Bool { code < 200 }
  package var isSuccess: Bool { 200...299 ~= code }

  /// Whether a response of this status never has content, whatever its fields say
  /// (RFC 9110 sections 15.2, 15.3.5, 15.4.5).
  package var forbidsContent: Bool { code < 200 || code == 204 || code == 304 }

  /// The phrase of RFC 9110; empty for a code that has none here.
  package var reasonPhrase: String { Self.phrases[code] ?? "" }

  package var description: String {
    reasonPhrase.isEmpty ? "\(code)" : "\(code) \(reasonPhrase)"
  }

  private static let phrases: [Int: String] = [
    100: "Continue", 101: "Switching Protocols",
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
    414: "URI Too Long", 415: "Unsupported Media Type", 417: "Expectation Failed",
    421: "Misdirected Request", 422: "Unprocessable Content", 426: "Upgrade Required",
    428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 499: "Client Closed Request",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
  ]
}
