package enum HTTP1Version: String, Sendable {
  case version10 = "HTTP/1.0"
  case version11 = "HTTP/1.1"

  /// `HTTP/d.d`; any other version of that form is unsupported rather than malformed.
  init(_ bytes: Span<UInt8>) throws(HTTP1Error) {
    guard bytes.count == 8, bytes.extracting(0..<5).equalsExactly("HTTP/"),
      bytes[5].isDigit, bytes[6] == UInt8(ascii: "."), bytes[7].isDigit
    else { throw HTTP1Error(.versionMalformed) }
    switch (bytes[5], bytes[7]) {
    case (UInt8(ascii: "1"), UInt8(ascii: "1")): self = .version11
    case (UInt8(ascii: "1"), UInt8(ascii: "0")): self = .version10
    default: throw HTTP1Error(.versionUnsupported)
    }
  }
}

extension Span<UInt8> {
  fileprivate func equalsExactly(_ text: StaticString) -> Bool {
    guard count == text.utf8CodeUnitCount else { return false }
    for index in indices where self[index] != text.utf8Start[index] { return false }
    return true
  }
}

/// How long a message's body is (RFC 9112 section 6.3).
package enum HTTP1Framing: Equatable, Sendable {
  case none
  case length(UInt64)
  case chunked
  /// Responses only.
  case untilClose
}

/// What a head says about the connection and the body rather than about the resource.
package struct HTTP1MessageControl: Equatable, Sendable {
  package let version: HTTP1Version
  package let framing: HTTP1Framing
  /// Whether the peer lets the connection be used for another message.
  package let persists: Bool
  /// The client waits for 100 before it sends the body (RFC 9110 section 10.1.1).
  package let expectsContinue: Bool
  /// Protocols of Upgrade in lower case, where Connection names it too.
  package let upgrade: [String]

  static func request(
    version: HTTP1Version, headers: HTTPHeaders, limits: HTTP1Limits
  ) throws(HTTP1Error) -> HTTP1MessageControl {
    let framing = try declaredFraming(version: version, headers: headers, limits: limits) ?? .none
    var expectsContinue = false
    for expectation in headers.tokens(of: "expect") where version == .version11 {
      guard expectation == "100-continue" else { throw HTTP1Error(.expectationUnknown) }
      expectsContinue = framing != .none && framing != .length(0)
    }
    return HTTP1MessageControl(
      version: version, headers: headers, framing: framing, expectsContinue: expectsContinue)
  }

  /// - Parameter method: of the request that is answered.
  static func response(
    version: HTTP1Version, status: HTTPStatus, method: HTTPMethod, headers: HTTPHeaders,
    limits: HTTP1Limits
  ) throws(HTTP1Error) -> HTTP1MessageControl {
    let declared = try declaredFraming(
      version: version, headers: headers, limits: limits,
      carriesBody: method != .head && !status.forbidsContent)
    let framing: HTTP1Framing =
      method == .head || status.forbidsContent ? .none : declared ?? .untilClose
    return HTTP1MessageControl(
      version: version, headers: headers, framing: framing, expectsContinue: false)
  }

  private init(
    version: HTTP1Version, headers: HTTPHeaders, framing: HTTP1Framing, expectsContinue: Bool
  ) {
    let options = headers.tokens(of: "connection")
    self.version = version
    self.framing = framing
    self.expectsContinue = expectsContinue
    persists =
      framing != .untilClose && !options.contains("close")
      && (version == .version11 || options.contains("keep-alive"))
    upgrade =
      version == .version11 && options.contains("upgrade") ? headers.tokens(of: "upgrade") : []
  }

  /// The framing that the fields declare; nil where they declare none.
  private static func declaredFraming(
    version: HTTP1Version, headers: HTTPHeaders, limits: HTTP1Limits, carriesBody: Bool = true
  ) throws(HTTP1Error) -> HTTP1Framing? {
    let hasLength = headers.contains("content-length")
    guard headers.contains("transfer-encoding") else {
      guard hasLength else { return nil }
      let length = try contentLength(headers.values(of: "content-length"))
      guard !carriesBody || length <= limits.bodyBytesMax else {
        throw HTTP1Error(.bodyTooLarge, "at most \(limits.bodyBytesMax) bytes")
      }
      return .length(length)
    }
    guard version == .version11 else { throw HTTP1Error(.transferEncodingInVersion10) }
    guard !hasLength else { throw HTTP1Error(.contentLengthWithTransferEncoding) }
    let codings = headers.tokens(of: "transfer-encoding")
    guard codings.last == "chunked", !codings.dropLast().contains("chunked") else {
      throw HTTP1Error(.transferEncodingNotChunkedLast)
    }
    guard codings.count == 1 else { throw HTTP1Error(.transferEncodingUnknown) }
    // Empty list members are legal, but readers differ on them, and no sender needs them.
    guard headers["transfer-encoding"]?.utf8.count == "chunked".utf8.count else {
      throw HTTP1Error(.transferEncodingNotChunkedLast)
    }
    return .chunked
  }

  private static func contentLength(_ values: [String]) throws(HTTP1Error) -> UInt64 {
    guard values.count == 1, !values[0].utf8.contains(UInt8(ascii: ",")) else {
      throw HTTP1Error(.contentLengthRepeated)
    }
    guard !values[0].isEmpty, values[0].utf8.allSatisfy(\.isDigit) else {
      throw HTTP1Error(.contentLengthInvalid)
    }
    guard let length = UInt64(values[0]) else {
      throw HTTP1Error(.bodyTooLarge, "its length does not fit in 64 bits")
    }
    return length
  }
}
