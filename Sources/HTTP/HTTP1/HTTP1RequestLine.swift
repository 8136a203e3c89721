/// `method SP request-target SP HTTP-version` (RFC 9112 section 3).
struct HTTP1RequestLine {
  let method: HTTPMethod
  let target: HTTP1RequestTarget
  let version: HTTP1Version

  init(_ line: Span<UInt8>, limits: HTTP1Limits) throws(HTTP1Error) {
    guard let methodEnd = line.firstIndex(of: .space) else {
      throw HTTP1Error(.requestLineMalformed)
    }
    let rest = line.extracting(methodEnd + 1..<line.count)
    guard let targetEnd = rest.firstIndex(of: .space), targetEnd > 0 else {
      throw HTTP1Error(.requestLineMalformed)
    }
    let methodBytes = line.extracting(0..<methodEnd)
    guard methodEnd <= limits.methodBytesMax else {
      throw HTTP1Error(.methodTooLong, "at most \(limits.methodBytesMax) bytes")
    }
    guard methodEnd > 0, ByteSet.token.containsAll(methodBytes) else {
      throw HTTP1Error(.methodInvalid)
    }
    guard targetEnd <= limits.targetBytesMax else {
      throw HTTP1Error(.targetTooLong, "at most \(limits.targetBytesMax) bytes")
    }
    version = try HTTP1Version(rest.extracting(targetEnd + 1..<rest.count))
    method = HTTPMethod(String(copying: methodBytes))
    guard method != .connect else { throw HTTP1Error(.connectUnsupported) }
    target = try HTTP1RequestTarget(rest.extracting(0..<targetEnd), method: method)
  }
}

/// A request target in origin-, absolute- or asterisk-form (RFC 9112 section 3.2).
struct HTTP1RequestTarget {
  private(set) var scheme: String?
  /// In absolute-form only.
  private(set) var authority: String?
  let path: String
  let query: String?

  /// - Parameter target: at least one byte.
  init(_ target: Span<UInt8>, method: HTTPMethod) throws(HTTP1Error) {
    if target.count == 1, target[0] == UInt8(ascii: "*") {
      guard method == .options else {
        throw HTTP1Error(.targetInvalid, "\"*\" is for OPTIONS only")
      }
      path = "*"
      query = nil
      return
    }
    let text = String(copying: target)
    var originStart = 0
    if target[0] != UInt8(ascii: "/") {
      guard let colon = target.firstIndex(of: UInt8(ascii: ":")),
        let scheme = Self.scheme(target.extracting(0..<colon)),
        text.utf8.dropFirst(colon)
          .starts(with: "://".utf8)
      else { throw HTTP1Error(.targetInvalid, "send \"/path?query\"") }
      let authorityStart = colon + 3
      originStart = authorityStart
      while originStart < target.count, target[originStart] != UInt8(ascii: "/"),
        target[originStart] != UInt8(ascii: "?")
      { originStart += 1 }
      let authorityBytes = target.extracting(authorityStart..<originStart)
      guard let authority = HTTPAuthority.normalize(String(copying: authorityBytes)) else {
        throw HTTP1Error(.targetInvalid, "its authority is not a host and optional port")
      }
      self.scheme = scheme
      self.authority = authority
    }
    let origin = target.extracting(originStart..<target.count)
    let pathEnd = origin.firstIndex(of: UInt8(ascii: "?")) ?? origin.count
    let pathBytes = origin.extracting(0..<pathEnd)
    try Self.check(pathBytes, allowed: .path, part: "path")
    path =
      pathEnd > 0
      ? String(copying: pathBytes) : method == .options && origin.count == 0 ? "*" : "/"
    guard pathEnd < origin.count else {
      query = nil
      return
    }
    let queryBytes = origin.extracting(pathEnd + 1..<origin.count)
    try Self.check(queryBytes, allowed: .query, part: "query")
    query = String(copying: queryBytes)
  }

  private static func scheme(_ bytes: Span<UInt8>) -> String? {
    if bytes.equalsIgnoringCase("http") { return "http" }
    return bytes.equalsIgnoringCase("https") ? "https" : nil
  }

  private static func check(
    _ bytes: Span<UInt8>, allowed: ByteSet, part: String
  ) throws(HTTP1Error) {
    do throws(HTTPTargetError) {
      try PercentEncoding.check(bytes, allowed: allowed)
    } catch {
      throw HTTP1Error(.targetInvalid, "in its \(part), \(error)")
    }
  }
}
