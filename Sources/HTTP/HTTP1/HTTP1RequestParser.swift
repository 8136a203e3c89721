/// What a client's bytes say, in order: one head, any number of body parts, one end; then the
/// next request. How bytes are cut into body parts depends on how they arrived, nothing else does.
package enum HTTP1RequestEvent: Equatable, Sendable {
  case head(HTTPRequestHead, HTTP1MessageControl)
  case body([UInt8])
  /// Trailers are never merged into the head's fields.
  case end(trailers: HTTPHeaders)
  /// The client closed its side between two requests.
  case closed
}

/// A strict, incremental parser of requests (RFC 9112): bytes in, events out, no I/O.
///
/// Events are pulled, so pipelined requests stay bytes until asked for. After an error every
/// further call throws that error again.
package struct HTTP1RequestParser {
  private enum State {
    case requestLine(emptyLines: Int)
    case fields(HTTP1RequestLine, HTTP1FieldSection)
    case body(HTTP1BodyDecoder)
    case closed
    case failed(HTTP1Error)
  }

  private var state = State.requestLine(emptyLines: 0)
  private var buffer = HTTP1InputBuffer()
  private var inputEnded = false
  private let limits: HTTP1Limits

  package init(limits: HTTP1Limits = HTTP1Limits()) {
    self.limits = limits
  }

  /// Bytes received that no event has taken yet.
  package var bufferedBytes: Int { buffer.count }

  package mutating func receive(_ bytes: Span<UInt8>) {
    buffer.append(bytes)
  }

  /// The client sends nothing more.
  package mutating func receiveEnd() {
    inputEnded = true
  }

  /// The next event, or nil where more bytes are needed (and for ever after `closed`).
  package mutating func next() throws(HTTP1Error) -> HTTP1RequestEvent? {
    do throws(HTTP1Error) {
      return try advance()
    } catch {
      state = .failed(error)
      throw error
    }
  }

  private mutating func advance() throws(HTTP1Error) -> HTTP1RequestEvent? {
    while true {
      switch state {
      case .requestLine(let emptyLines):
        guard let range = try takeRequestLine() else { return try endBetweenRequests() }
        if range.isEmpty {
          guard emptyLines < limits.leadingEmptyLinesMax else {
            throw HTTP1Error(.requestLineMalformed, "it is empty")
          }
          state = .requestLine(emptyLines: emptyLines + 1)
          continue
        }
        let line = try HTTP1RequestLine(buffer.bytes.span.extracting(range), limits: limits)
        state = .fields(line, .header(limits))
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
          state = .requestLine(emptyLines: 0)
          return .end(trailers: trailers)
        }
      case .closed: return nil
      case .failed(let error): throw error
      }
    }
  }

  private mutating func takeRequestLine() throws(HTTP1Error) -> Range<Int>? {
    // Both spaces and the version.
    let bytesMax = limits.methodBytesMax + limits.targetBytesMax + 10
    switch try buffer.takeLine(bytesMax: bytesMax) {
    case .complete(let line): return line
    case .incomplete: return nil
    case .tooLong:
      guard buffer.firstIndex(of: .space, within: limits.methodBytesMax + 1) != nil else {
        throw HTTP1Error(.methodTooLong, "at most \(limits.methodBytesMax) bytes")
      }
      throw HTTP1Error(.targetTooLong, "at most \(limits.targetBytesMax) bytes")
    }
  }

  private mutating func finishHead(
    _ line: HTTP1RequestLine, _ headers: HTTPHeaders
  ) throws(HTTP1Error) -> HTTP1RequestEvent {
    let authority = try Self.authority(line, headers)
    let control = try HTTP1MessageControl.request(
      version: line.version, headers: headers, limits: limits)
    state = .body(HTTP1BodyDecoder(control.framing, limits: limits))
    let head = HTTPRequestHead(
      method: line.method, scheme: line.target.scheme, authority: authority,
      path: line.target.path, query: line.target.query, headers: headers)
    return .head(head, control)
  }

  /// Host, checked against the target (RFC 9112 section 3.2).
  private static func authority(
    _ line: HTTP1RequestLine, _ headers: HTTPHeaders
  ) throws(HTTP1Error) -> String {
    let hosts = headers.values(of: "host")
    guard hosts.count <= 1 else { throw HTTP1Error(.hostRepeated) }
    guard let host = hosts.first else {
      guard line.version == .version10 else { throw HTTP1Error(.hostMissing) }
      return line.target.authority ?? ""
    }
    guard let authority = HTTPAuthority.normalize(host) else { throw HTTP1Error(.hostInvalid) }
    guard line.target.authority ?? authority == authority else { throw HTTP1Error(.hostMismatch) }
    return authority
  }

  private mutating func endBetweenRequests() throws(HTTP1Error) -> HTTP1RequestEvent? {
    guard inputEnded else { return nil }
    guard buffer.isEmpty else { throw HTTP1Error(.incompleteMessage) }
    state = .closed
    return .closed
  }

  private func needMore() throws(HTTP1Error) -> HTTP1RequestEvent? {
    guard !inputEnded else { throw HTTP1Error(.incompleteMessage) }
    return nil
  }
}
