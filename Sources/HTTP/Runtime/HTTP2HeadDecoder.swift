import HTTP2

/// Gathers the header block that a server's connection is receiving.
///
/// nghttp2 has checked what RFC 9113 section 8 asks: pseudo-fields first and once, lower-case names,
/// no connection-specific fields, no control characters.
final class HTTP2HeadDecoder: HTTP2HeaderSink {
  private var method = ""
  private var scheme: String?
  private var authority: String?
  private var path: [UInt8] = []
  private var headers = HTTPHeaders()
  private var cookies: [UInt8] = []

  override func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.first == UInt8(ascii: ":") { return addPseudo(name, value) }
    if name.span.equalsIgnoringCase("cookie") {
      // Split for HPACK's sake, and one field again for everyone behind (RFC 9113 section 8.2.3).
      if !cookies.isEmpty { cookies.append(contentsOf: "; ".utf8) }
      cookies.append(contentsOf: value)
      return
    }
    headers.append(name: name.span, value: value.span)
  }

  private func addPseudo(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
  ) {
    let text = String(decoding: value, as: UTF8.self)
    switch String(decoding: name, as: UTF8.self) {
    case ":method": method = text
    case ":scheme": scheme = text
    case ":authority": authority = text
    case ":path": path = Array(value)
    default: break
    }
  }

  override func reset() {
    method = ""
    scheme = nil
    authority = nil
    path = []
    headers = HTTPHeaders()
    cookies = []
  }

  private func fields() -> HTTPHeaders {
    if cookies.isEmpty { return headers }
    var fields = headers
    fields.append("cookie", String(decoding: cookies, as: UTF8.self))
    return fields
  }

  /// A request's head; throws what is wrong with it for us, under the rules of HTTP/1.1.
  func request(_ limits: HTTP1Limits) throws(HTTP1Error) -> HTTPRequestHead {
    if path.count > limits.targetBytesMax {
      throw HTTP1Error(.targetTooLong, "at most \(limits.targetBytesMax) bytes")
    }
    let method = HTTPMethod(self.method)
    if method == .connect { throw HTTP1Error(.connectUnsupported) }
    let path = path
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

  var trailers: HTTPHeaders { headers }
}
