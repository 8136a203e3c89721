/// Writes the response to one request.
struct HTTP1ResponseEncoder {
  private let method: HTTPMethod
  private let version: HTTP1Version
  private var body: HTTP1BodyEncoder?
  private(set) var isEnded = false
  /// Whether the connection must close after this response.
  private(set) var closes: Bool

  var hasHead: Bool { body != nil }

  /// - Parameter closes: the connection cannot or must not be used again, whatever is sent.
  init(method: HTTPMethod, version: HTTP1Version, closes: Bool) {
    self.method = method
    self.version = version
    self.closes = closes
  }

  /// Writes an interim 1xx head (RFC 9110 section 15.2); HTTP/1.0 clients know none.
  func writeInformational(
    _ response: HTTPResponseHead, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard !hasHead, response.status.isInformational, response.status != .switchingProtocols else {
      throw .outOfOrder
    }
    guard version == .version11 else { return }
    var head: [UInt8] = []
    try Self.writeStart(response, into: &head)
    head.append(line: "")
    output.append(contentsOf: head)
  }

  mutating func writeHead(
    _ response: HTTPResponseHead, body outgoing: HTTP1OutgoingBody, closing: Bool,
    into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard !hasHead, !response.status.isInformational else { throw .outOfOrder }
    var head: [UInt8] = []
    try Self.writeStart(response, into: &head)
    let framing = try writeFraming(outgoing, status: response.status, into: &head)
    closes = closes || closing || framing == .untilClose
    if closes {
      head.append(line: "connection: close")
    } else if version == .version10 {
      head.append(line: "connection: keep-alive")
    }
    head.append(line: "")
    output.append(contentsOf: head)
    body = HTTP1BodyEncoder(framing: framing)
  }

  mutating func writeBody(
    _ bytes: Span<UInt8>, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard !isEnded, body != nil else { throw .outOfOrder }
    try body?.write(bytes, into: &output)
  }

  mutating func writeEnd(
    trailers: HTTPHeaders, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard !isEnded, let body else { throw .outOfOrder }
    try body.end(trailers: trailers, into: &output)
    isEnded = true
  }

  private static func writeStart(
    _ response: HTTPResponseHead, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    try HTTP1FieldWriter.refuseReserved(response.headers)
    output.append(line: "HTTP/1.1 \(response.status.code) \(response.status.reasonPhrase)")
    try HTTP1FieldWriter.write(response.headers, into: &output)
  }

  private func writeFraming(
    _ outgoing: HTTP1OutgoingBody, status: HTTPStatus, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) -> HTTP1BodyEncoder.Framing {
    if status.forbidsContent {
      guard outgoing == .none || outgoing == .length(0) else { throw .contentForbidden(status) }
      return .length(left: 0)
    }
    switch outgoing {
    case .none, .length:
      var length: UInt64 = 0
      if case .length(let declared) = outgoing { length = declared }
      // The answer to HEAD has the fields of the answer to GET; a handler with nothing to say
      // about the length leaves it out.
      if method != .head || outgoing != .none { output.append(line: "content-length: \(length)") }
      return method == .head ? .dropped : .length(left: length)
    case .stream:
      guard version == .version11 else { return method == .head ? .dropped : .untilClose }
      output.append(line: "transfer-encoding: chunked")
      return method == .head ? .dropped : .chunked
    }
  }
}
