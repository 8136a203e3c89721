/// The rule of RFC 9112 (or the limit) that a peer's bytes broke.
package enum HTTP1Violation: String, Hashable, Sendable, CaseIterable {
  case bareLineFeed
  case requestLineMalformed
  case methodInvalid
  case methodTooLong
  case connectUnsupported
  case targetInvalid
  case targetTooLong
  case versionMalformed
  case versionUnsupported
  case lineFolding
  case spaceBeforeColon
  case fieldLineMalformed
  case fieldNameInvalid
  case fieldValueInvalid
  case fieldSectionTooLarge
  case tooManyFields
  case hostMissing
  case hostRepeated
  case hostInvalid
  case hostMismatch
  case contentLengthInvalid
  case contentLengthRepeated
  case contentLengthWithTransferEncoding
  case transferEncodingInVersion10
  case transferEncodingNotChunkedLast
  case transferEncodingUnknown
  case expectationUnknown
  case bodyTooLarge
  case chunkSizeInvalid
  case chunkExtensionInvalid
  case chunkExtensionTooLong
  case chunkOverheadTooLarge
  case chunkDataUnterminated
  case trailerForbidden
  case trailerSectionTooLarge
  case incompleteMessage
  case statusLineMalformed
  case tooManyInformationalResponses
  case switchUnrequested
  case responseUnrequested
}

/// A violation by the peer. The connection cannot be read any further: a server answers with
/// `status` and closes, a client closes.
package struct HTTP1Error: Error, Equatable, Sendable, CustomStringConvertible {
  package let violation: HTTP1Violation
  /// Which field, byte or limit; never a field's value, which may be a credential.
  package let detail: String

  init(_ violation: HTTP1Violation, _ detail: String = "") {
    self.violation = violation
    self.detail = detail
  }

  /// What a server answers.
  package var status: HTTPStatus {
    switch violation {
    case .methodTooLong, .connectUnsupported, .transferEncodingUnknown: .notImplemented
    case .targetTooLong: .targetTooLong
    case .versionUnsupported: .versionNotSupported
    case .fieldSectionTooLarge, .tooManyFields, .trailerSectionTooLarge: .headerFieldsTooLarge
    case .bodyTooLarge: .contentTooLarge
    case .expectationUnknown: .expectationFailed
    default: .badRequest
    }
  }

  package var description: String {
    detail.isEmpty ? summary : "\(summary): \(detail)"
  }

  private var summary: String {
    switch violation {
    case .bareLineFeed: "a line ends with LF alone; lines end with CRLF"
    case .requestLineMalformed: "the request line is not \"METHOD target HTTP/1.1\""
    case .methodInvalid: "the method is not a token"
    case .methodTooLong: "the method is too long"
    case .connectUnsupported: "CONNECT is not supported; this is not a proxy"
    case .targetInvalid: "the request target is invalid"
    case .targetTooLong: "the request target is too long"
    case .versionMalformed: "the protocol version is malformed"
    case .versionUnsupported: "the protocol version is not supported; use HTTP/1.1"
    case .lineFolding: "a field line starts with white space (obsolete line folding)"
    case .spaceBeforeColon: "white space before the colon of a field"
    case .fieldLineMalformed: "a field line has no colon"
    case .fieldNameInvalid: "a field name is not a token"
    case .fieldValueInvalid: "a field value has a control character"
    case .fieldSectionTooLarge: "the header section is too large"
    case .tooManyFields: "too many fields"
    case .hostMissing: "the Host field is missing"
    case .hostRepeated: "more than one Host field"
    case .hostInvalid: "the Host field is not a host and optional port"
    case .hostMismatch: "the Host field differs from the request target's host"
    case .contentLengthInvalid: "Content-Length is not a decimal number"
    case .contentLengthRepeated: "more than one Content-Length"
    case .contentLengthWithTransferEncoding: "both Content-Length and Transfer-Encoding"
    case .transferEncodingInVersion10: "Transfer-Encoding in an HTTP/1.0 message"
    case .transferEncodingNotChunkedLast: "\"chunked\" is not the last transfer coding, once"
    case .transferEncodingUnknown: "a transfer coding other than \"chunked\""
    case .expectationUnknown: "an expectation other than \"100-continue\""
    case .bodyTooLarge: "the body is too large"
    case .chunkSizeInvalid: "a chunk size is not 1 to 16 hexadecimal digits"
    case .chunkExtensionInvalid: "a chunk extension is malformed"
    case .chunkExtensionTooLong: "a chunk extension is too long"
    case .chunkOverheadTooLarge: "too much chunk framing for the data it carries"
    case .chunkDataUnterminated: "chunk data is not followed by CRLF"
    case .trailerForbidden: "a field that is not allowed in trailers"
    case .trailerSectionTooLarge: "the trailer section is too large"
    case .incompleteMessage: "the connection ended inside a message"
    case .statusLineMalformed: "the status line is not \"HTTP/1.1 CODE reason\""
    case .tooManyInformationalResponses: "too many informational responses"
    case .switchUnrequested: "101 without a requested upgrade"
    case .responseUnrequested: "bytes from the server without a request"
    }
  }
}
