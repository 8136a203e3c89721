import HTTP2

/// Turns heads into HTTP/2's fields, with the same checks as for HTTP/1.1.
enum HTTP2HeadEncoder {
  /// Kept out of HPACK's tables, from which they could be guessed (RFC 7541 section 7.1).
  private static let sensitive: Set<String> = [
    "authorization", "cookie", "proxy-authorization", "set-cookie",
  ]

  static func response(
    _ head: HTTPResponseHead, _ body: HTTP1OutgoingBody, isToHead: Bool
  ) throws(HTTP1EncodingError) -> HeaderFields {
    if head.status.isInformational { throw .outOfOrder }
    try HTTP1FieldWriter.refuseReserved(head.headers)
    var fields = HeaderFields()
    fields.append(":status", String(head.status.code))
    try append(head.headers, to: &fields)
    if head.status.forbidsContent {
      guard body == .none || body == .length(0) else { throw .contentForbidden(head.status) }
      return fields
    }
    switch body {
    case .none: if !isToHead { fields.append("content-length", "0") }
    case .length(let length): fields.append("content-length", String(length))
    case .stream: break
    }
    return fields
  }

  static func request(
    _ head: HTTPRequestHead, scheme: String, _ body: HTTP1OutgoingBody
  ) throws(HTTP1EncodingError) -> HeaderFields {
    // HTTP/1.1's writer knows what a valid request is.
    var writer = HTTP1RequestEncoder()
    var unused: [UInt8] = []
    try writer.writeHead(head, body: body, into: &unused)
    if head.headers.contains("upgrade") { throw .fieldReserved(name: "upgrade") }
    var fields = HeaderFields()
    fields.append(":method", head.method.name)
    fields.append(":scheme", scheme)
    fields.append(":authority", head.authority)
    fields.append(":path", head.target)
    try append(head.headers, to: &fields)
    if case .length(let length) = body { fields.append("content-length", String(length)) }
    return fields
  }

  static func trailers(_ trailers: HTTPHeaders) throws(HTTP1EncodingError) -> HeaderFields {
    var fields = HeaderFields()
    try append(trailers, to: &fields)
    return fields
  }

  private static func append(
    _ headers: HTTPHeaders, to fields: inout HeaderFields
  ) throws(HTTP1EncodingError) {
    try headers.forEachField { (name, value) throws(HTTP1EncodingError) in
      guard name.count > 0, ByteSet.token.containsAll(name) else {
        throw .fieldInvalid(name: String(copying: name))
      }
      for index in value.indices where !value[index].isFieldValue {
        throw .fieldInvalid(name: String(copying: name))
      }
      let text = String(copying: name)
      fields.append(text, String(copying: value), isIndexed: !sensitive.contains(text))
    }
  }
}
