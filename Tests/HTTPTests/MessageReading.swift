@testable import HTTP

/// What a parser made of some bytes: its events, with adjoining body parts joined, and how it ended.
struct Reading<Event: Equatable>: Equatable {
  var events: [Event] = []
  var error: HTTP1Error?
}

extension Reading<HTTP1RequestEvent> {
  /// Feeds the bytes `step` at a time, then the end if `closing`.
  init(
    _ bytes: [UInt8], step: Int = .max, closing: Bool = true, limits: HTTP1Limits = HTTP1Limits()
  ) {
    var parser = HTTP1RequestParser(limits: limits)
    do throws(HTTP1Error) {
      for piece in pieces(bytes, step) {
        parser.receive(piece.span)
        while let event = try parser.next() { add(event) }
      }
      if closing { parser.receiveEnd() }
      while let event = try parser.next() { add(event) }
    } catch {
      self.error = error
    }
  }

  private mutating func add(_ event: HTTP1RequestEvent) {
    if case .body(let more) = event, case .body(let start)? = events.last {
      events[events.count - 1] = .body(start + more)
    } else {
      events.append(event)
    }
  }
}

extension Reading<HTTP1ResponseEvent> {
  init(
    _ bytes: [UInt8], to method: HTTPMethod = .get, requestedUpgrade: Bool = false,
    step: Int = .max, limits: HTTP1Limits = HTTP1Limits()
  ) {
    var parser = HTTP1ResponseParser(limits: limits)
    parser.expectResponse(to: method, requestedUpgrade: requestedUpgrade)
    do throws(HTTP1Error) {
      for piece in pieces(bytes, step) {
        parser.receive(piece.span)
        while !isEnded, let event = try parser.next() { add(event) }
      }
      parser.receiveEnd()
      while !isEnded, let event = try parser.next() { add(event) }
    } catch {
      self.error = error
    }
  }

  private var isEnded: Bool {
    if case .end? = events.last { true } else { false }
  }

  private mutating func add(_ event: HTTP1ResponseEvent) {
    if case .body(let more) = event, case .body(let start)? = events.last {
      events[events.count - 1] = .body(start + more)
    } else {
      events.append(event)
    }
  }
}

private func pieces(_ bytes: [UInt8], _ step: Int) -> [[UInt8]] {
  stride(from: 0, to: bytes.count, by: min(step, max(bytes.count, 1))).map {
    Array(bytes[$0..<min(bytes.count, $0 + min(step, bytes.count))])
  }
}

extension String {
  /// The text with CRLF for every line feed, as wire bytes.
  var wire: [UInt8] {
    utf8.flatMap { $0 == 10 ? [13, 10] : [$0] }
  }

  var bytes: [UInt8] { Array(utf8) }
}
