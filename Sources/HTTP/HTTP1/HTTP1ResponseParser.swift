/// What a server's bytes say in answer to one request: any number of informational heads, one
/// head, body parts, one end; or, instead of head to end, a switch of protocols.
package enum HTTP1ResponseEvent: Equatable, Sendable {
  case informational(HTTPResponseHead)
  case head(HTTPResponseHead, HTTP1MessageControl)
  case body([UInt8])
  case end(trailers: HTTPHeaders)
  /// 101: what follows on the connection is the new protocol; see `takeRemaining`.
  case switched(HTTPResponseHead)
  /// The server closed the connection while no response was due.
  case closed
}

/// A strict, incremental parser of responses (RFC 9112), told of each request before its answer.
///
/// After an error every further call throws that error again.
package struct HTTP1ResponseParser {
  private enum State {
    case idle
    case statusLine
    case fields(HTTP1StatusLine, HTTP1FieldSection)
    case body(HTTP1BodyDecoder)
    case switched
    case closed
    case failed(HTTP1Error)
  }

  private var state = State.idle
  private var buffer = HTTP1InputBuffer()
  private var inputEnded = false
  private var method = HTTPMethod.get
  private var requestedUpgrade = false
  private var informationalResponses = 0
  private let limits: HTTP1Limits

  package init(limits: HTTP1Limits = HTTP1Limits()) {
    self.limits = limits
  }

  /// Bytes received that no event has taken yet.
  package var bufferedBytes: Int { buffer.count }

  /// Announces the request whose response comes next; call when it is sent, and not before the
  /// previous response has ended.
  package mutating func expectResponse(to method: HTTPMethod, requestedUpgrade: Bool = false) {
    guard case .idle = state else { return }
    self.method = method
    self.requestedUpgrade = requestedUpgrade
    informationalResponses = 0
    state = .statusLine
  }

  package mutating func receive(_ bytes: Span<UInt8>) {
    buffer.append(bytes)
  }

  /// The server sends nothing more.
  package mutating func receiveEnd() {
    inputEnded = true
  }

  /// After `switched`: the bytes behind the head, which belong to the new protocol.
  package mutating func takeRemaining() -> [UInt8] {
    buffer.takeAll()
  }

  /// The next event, or nil where more bytes are needed or no response is due.
  package mutating func next() throws(HTTP1Error) -> HTTP1ResponseEvent? {
    do throws(HTTP1Error) {
      return try advance()
    } catch {
      state = .failed(error)
      throw error
    }
  }

  private mutating func advance() throws(HTTP1Error) -> HTTP1ResponseEvent? {
    while true {
      switch state {
      case .idle:
        guard buffer.isEmpty else { throw HTTP1Error(.responseUnrequested) }
        guard inputEnded else { return nil }
        state = .closed
        return .closed
      case .statusLine:
        // Version, code, two spaces.
        switch try buffer.takeLine(bytesMax: limits.reasonBytesMax + 13) {
        case .incomplete: return try needMore()
        case .tooLong: throw HTTP1Error(.statusLineMalformed, "it is too long")
        case .complete(let range):
          let line = try HTTP1StatusLine(buffer.bytes.span.extracting(range))
          state = .fields(line, .header(limits))
        }
      case .fields(let line, var section):
        let isComplete = try section.read(from: &buffer)
        state = .fields(line, section)
        guard isComplete else { return try needMore() }
        return try finishHead(line, section.headers)
      case .body(var decoder):
        let step = try decoder.next(from: &buffer, inputEnded: inputEnded)
        state = .body(decoder)
        switch step {
        case nil: return try needMore()
        case .data(let data): return .body(data)
        case .end(let trailers):
          state = .idle
          return .end(trailers: trailers)
        }
      case .switched, .closed: return nil
      case .failed(let error): throw error
      }
    }
  }

  private mutating func finishHead(
    _ line: HTTP1StatusLine, _ headers: HTTPHeaders
  ) throws(HTTP1Error) -> HTTP1ResponseEvent {
    let head = HTTPResponseHead(status: line.status, headers: headers)
    let control = try HTTP1MessageControl.response(
      version: line.version, status: line.status, method: method, headers: headers,
      limits: limits)
    if line.status == .switchingProtocols {
      guard requestedUpgrade else { throw HTTP1Error(.switchUnrequested) }
      state = .switched
      return .switched(head)
    }
    if line.status.isInformational {
      informationalResponses += 1
      guard informationalResponses <= limits.informationalResponsesMax else {
        throw HTTP1Error(.tooManyInformationalResponses)
      }
      state = .statusLine
      return .informational(head)
    }
    state = .body(HTTP1BodyDecoder(control.framing, limits: limits))
    return .head(head, control)
  }

  private func needMore() throws(HTTP1Error) -> HTTP1ResponseEvent? {
    guard !inputEnded else { throw HTTP1Error(.incompleteMessage) }
    return nil
  }
}

/// `HTTP-version SP status-code [SP reason-phrase]`; the reason is checked and dropped, and may be
/// missing with its space, as some servers leave it out.
struct HTTP1StatusLine {
  let version: HTTP1Version
  let status: HTTPStatus

  init(_ line: Span<UInt8>) throws(HTTP1Error) {
    guard line.count >= 12, line[8] == .space,
      line.count == 12 || line[12] == .space
    else { throw HTTP1Error(.statusLineMalformed) }
    version = try HTTP1Version(line.extracting(0..<8))
    var code = 0
    for index in 9..<12 {
      guard line[index].isDigit else { throw HTTP1Error(.statusLineMalformed) }
      code = code * 10 + Int(line[index] - UInt8(ascii: "0"))
    }
    for index in 12..<line.count where !line[index].isFieldValue {
      throw HTTP1Error(.statusLineMalformed, "its reason has a control character")
    }
    guard let status = HTTPStatus(code: code) else { throw HTTP1Error(.statusLineMalformed) }
    self.status = status
  }
}
