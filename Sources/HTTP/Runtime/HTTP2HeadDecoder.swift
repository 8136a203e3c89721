/// Gathers the header block that a connection is receiving (there is only ever one).
///
/// nghttp2 has checked what RFC 9113 section 8 asks: pseudo-fields first and once, lower-case names,
/// no connection-specific fields, no control characters.
struct HTTP2HeadDecoder {
  private var method = ""
  private var scheme: String?
  private var authority: String?
  private var path: [UInt8] = []
  private var status: HTTPStatus?
  private var headers = HTTPHeaders()
  private var cookies: [UInt8] = []

  mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.first == UInt8(ascii: ":") { return addPseudo(name, value) }
    if name.span.equalsIgnoringCase("cookie") {
      // Split for HPACK's sake, and one field again for everyone behind (RFC 9113 section 8.2.3).
      if !cookies.isEmpty { cookies.append(contentsOf: "; ".utf8) }
      cookies.append(contentsOf: value)
      return
    }
    headers.append(name: name.span, value: value.span)
  }

  private mutating func addPseudo(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) {
    let text = String(decoding: value, as: UTF8.self)
    switch String(decoding: name, as: UTF8.self) {
    case ":method": method = text
    case ":scheme": scheme = text
    case ":authority": authority = text
    case ":path": path = Array(value)
    case ":status": status = Int(text).flatMap(HTTPStatus.init(code:))
    default: break
    }
  }

  mutating func reset() { self = HTTP2HeadDecoder() }

  private func fields() -> HTTPHeaders {
    if cookies.isEmpty { return headers }
    var fields = headers
    fields.append("cookie", String(decoding: cookies, as: UTF8.self))
    return fields
  }

  /// A request's head; throws what is wrong with it for us, under the rules of HTTP/1.1.
  mutating func takeRequest(_ limits: HTTP1Limits) throws(HTTP1Error) -> HTTPRequestHead {
    defer { reset() }
    if path.count > limits.targetBytesMax {
      throw HTTP1Error(.targetTooLong, "at most \(limits.targetBytesMax) bytes")
    }
    let method = HTTPMethod(self.method)
    if method == .connect { throw HTTP1Error(.connectUnsupported) }
    let target = try HTTP1RequestTarget(path.span, method: method)
    guard target.authority == nil else { throw HTTP1Error(.targetInvalid, "send \"/path?query\"") }
    for expectation in headers.tokens(of: "expect") where expectation != "100-continue" {
      throw HTTP1Error(.expectationUnknown)
    }
    return HTTPRequestHead(
      method: method, scheme: scheme, authority: try host(), path: target.path,
      query: target.query, headers: fields())
  }

  private func host() throws(HTTP1Error) -> String {
    let hosts = headers.values(of: "host")
    guard hosts.count <= 1 else { throw HTTP1Error(.hostRepeated) }
    guard let named = authority ?? hosts.first else { throw HTTP1Error(.hostMissing) }
    guard let normal = HTTPAuthority.normalize(named) else { throw HTTP1Error(.hostInvalid) }
    guard let host = hosts.first else { return normal }
    guard HTTPAuthority.normalize(host) == normal else { throw HTTP1Error(.hostMismatch) }
    return normal
  }

  /// A response's head, nil for a block without status.
  mutating func takeResponse() -> HTTPResponseHead? {
    defer { reset() }
    return status.map { HTTPResponseHead(status: $0, headers: fields()) }
  }

  mutating func takeTrailers() -> HTTPHeaders {
    defer { reset() }
    return headers
  }
}
