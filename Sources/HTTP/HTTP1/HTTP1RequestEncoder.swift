/// Writes requests, one after the other, on a client's connection.
package struct HTTP1RequestEncoder {
  private var body: HTTP1BodyEncoder?

  package init() {}

  /// Writes a head: Host, framing and Connection come from here, the rest from `request.headers`.
  /// A request with an `upgrade` field gets `connection: upgrade`.
  package mutating func writeHead(
    _ request: HTTPRequestHead, body outgoing: HTTP1OutgoingBody, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard body == nil else { throw .outOfOrder }
    try Self.check(request)
    var head: [UInt8] = []
    head.append(line: "\(request.method) \(request.target) HTTP/1.1")
    head.append(line: "host: \(request.authority)")
    try HTTP1FieldWriter.write(request.headers, into: &head)
    if request.headers.contains("upgrade") { head.append(line: "connection: upgrade") }
    let framing: HTTP1BodyEncoder.Framing
    switch outgoing {
    case .none:
      framing = .length(left: 0)
      // Methods whose content is expected say that there is none (RFC 9110 section 8.6).
      if [.post, .put, .patch].contains(request.method) { head.append(line: "content-length: 0") }
    case .length(let length):
      framing = .length(left: length)
      head.append(line: "content-length: \(length)")
    case .stream:
      framing = .chunked
      head.append(line: "transfer-encoding: chunked")
    }
    head.append(line: "")
    output.append(contentsOf: head)
    body = HTTP1BodyEncoder(framing: framing)
  }

  package mutating func writeBody(
    _ bytes: Span<UInt8>, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard body != nil else { throw .outOfOrder }
    try body?.write(bytes, into: &output)
  }

  package mutating func writeEnd(
    trailers: HTTPHeaders = HTTPHeaders(), into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    guard let body else { throw .outOfOrder }
    try body.end(trailers: trailers, into: &output)
    self.body = nil
  }

  private static func check(_ request: HTTPRequestHead) throws(HTTP1EncodingError) {
    let method = Array(request.method.name.utf8)
    guard !method.isEmpty, ByteSet.token.containsAll(method.span) else {
      throw .requestInvalid("method")
    }
    guard HTTPAuthority.normalize(request.authority) != nil else {
      throw .requestInvalid("authority")
    }
    let isAsterisk = request.path == "*" && request.query == nil && request.method == .options
    guard isAsterisk || request.path.utf8.first == UInt8(ascii: "/") else {
      throw .requestInvalid("path")
    }
    do throws(HTTPTargetError) {
      try PercentEncoding.check(Array(request.path.utf8).span, allowed: .path)
      try PercentEncoding.check(Array((request.query ?? "").utf8).span, allowed: .query)
    } catch {
      throw .requestInvalid("target")
    }
    try HTTP1FieldWriter.refuseReserved(request.headers)
  }
}
