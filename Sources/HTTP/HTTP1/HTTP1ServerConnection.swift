/// One HTTP/1.1 connection as a server sees it, without I/O: received bytes and the handler's
/// parts of responses in, events and bytes to send out.
///
/// One request is answered at a time: while its response is unfinished, pipelined requests behind
/// it stay unread, so responses leave in order and no queue of requests exists. The owner loops:
/// read while `wantsInput`, pull `next()` until nil, write `takeOutput()`, and close once the
/// output is written and `isFinished`.
package struct HTTP1ServerConnection {
  private enum RequestState {
    case awaiting
    case receiving(HTTP1MessageControl)
    case received
    /// The response is complete; the rest of the body is read and dropped.
    case discarding(bytes: UInt64)
  }

  private var parser: HTTP1RequestParser
  private var request = RequestState.awaiting
  private var response: HTTP1ResponseEncoder?
  private var sentContinue = false
  private var output: [UInt8] = []
  private var draining = false
  private let limits: HTTP1Limits

  /// No further request will be read: close once the output is written.
  package private(set) var isFinished = false

  package init(limits: HTTP1Limits = HTTP1Limits()) {
    self.limits = limits
    parser = HTTP1RequestParser(limits: limits)
  }

  /// False while so much is buffered that the socket should not be read.
  package var wantsInput: Bool {
    !isFinished && parser.bufferedBytes < limits.bufferedBytesMax
  }

  /// Between requests: nothing received and nothing owed, so closing loses nothing.
  package var isIdle: Bool {
    if case .awaiting = request { return parser.bufferedBytes == 0 && output.isEmpty }
    return false
  }

  package mutating func receive(_ bytes: Span<UInt8>) {
    if !isFinished { parser.receive(bytes) }
  }

  /// The client sends nothing more; responses can still be sent to it.
  package mutating func receiveEnd() {
    parser.receiveEnd()
  }

  /// The next event of the current request; nil where more bytes are needed or where the response
  /// must end first. On an error, answer with `reject`.
  package mutating func next() throws(HTTP1Error) -> HTTP1RequestEvent? {
    while !isFinished {
      if case .received = request { return nil }
      guard let event = try parser.next() else { return nil }
      switch event {
      case .head(let head, let control):
        request = .receiving(control)
        sentContinue = !control.expectsContinue
        response = HTTP1ResponseEncoder(
          method: head.method, version: control.version, closes: !control.persists || draining)
        return event
      case .body(let data):
        sentContinue = true
        guard case .discarding(let bytes) = request else { return event }
        guard bytes + UInt64(data.count) <= limits.discardedBodyBytesMax else {
          isFinished = true
          return nil
        }
        request = .discarding(bytes: bytes + UInt64(data.count))
      case .end:
        guard case .discarding = request else {
          request = .received
          startNextIfComplete()
          return event
        }
        startNext()
      case .closed:
        isFinished = true
        return event
      }
    }
    return nil
  }

  /// Tells a client that waits for it to send the body; without effect for any other.
  package mutating func sendContinue() throws(HTTP1EncodingError) {
    guard !sentContinue else { return }
    try response?.writeInformational(HTTPResponseHead(status: .continue), into: &output)
    sentContinue = true
  }

  package mutating func sendHead(
    _ head: HTTPResponseHead, body: HTTP1OutgoingBody
  ) throws(HTTP1EncodingError) {
    guard response != nil else { throw .outOfOrder }
    // A client that was not told to continue may send its body or not, so what follows on the
    // connection could be either.
    try response?.writeHead(
      head, body: body, closing: draining || !sentContinue, into: &output)
  }

  package mutating func sendBody(_ bytes: Span<UInt8>) throws(HTTP1EncodingError) {
    guard response != nil else { throw .outOfOrder }
    try response?.writeBody(bytes, into: &output)
  }

  /// Ends the response; a body shorter than declared finishes the connection, the only way left to
  /// tell the client.
  package mutating func sendEnd(
    trailers: HTTPHeaders = HTTPHeaders()
  ) throws(HTTP1EncodingError) {
    guard response != nil else { throw .outOfOrder }
    do throws(HTTP1EncodingError) {
      try response?.writeEnd(trailers: trailers, into: &output)
    } catch {
      if case .bodyShorterThanDeclared = error { isFinished = true }
      throw error
    }
    startNextIfComplete()
  }

  /// Answers an error of `next()` and finishes the connection. Where a response is already under
  /// way or has ended, nothing is said: a second head would be read as its body, or as the answer to
  /// the client's next request.
  package mutating func reject(_ error: HTTP1Error) {
    reject(HTTPProblem(error.status, "\(error)"))
  }

  mutating func reject(_ problem: HTTPProblem) {
    guard !isFinished else { return }
    isFinished = true
    if let response, response.hasHead { return }
    let body = problem.body
    output.append(line: "HTTP/1.1 \(problem.status.code) \(problem.status.reasonPhrase)")
    output.append(line: "content-type: \(HTTPProblem.contentType)")
    output.append(line: "content-length: \(body.count)")
    output.append(line: "connection: close")
    output.append(line: "")
    output.append(contentsOf: body)
  }

  /// Lets the current exchange end and takes no other: the next response says so.
  package mutating func drain() {
    draining = true
    if isIdle { isFinished = true }
  }

  /// The bytes to write, which are the caller's from then on.
  package mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  private mutating func startNextIfComplete() {
    guard let response, response.isEnded else { return }
    if response.closes || draining {
      isFinished = true
      return
    }
    switch request {
    case .received: startNext()
    case .receiving: request = .discarding(bytes: 0)
    case .awaiting, .discarding: break
    }
  }

  private mutating func startNext() {
    request = .awaiting
    response = nil
    if draining { isFinished = true }
  }
}
