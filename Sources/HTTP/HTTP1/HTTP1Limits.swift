/// What one HTTP/1.1 connection may cost, each limit with the attack or the accident it stops.
package struct HTTP1Limits: Equatable, Sendable {
  /// No method in use is longer; a longer one is noise, answered 501 (RFC 9112 section 3).
  package var methodBytesMax = 32
  /// RFC 9112 section 3 asks for 8,000 bytes of request line; tokens belong in fields, so a longer
  /// target is a mistake or an attempt to fill logs. Answered 414.
  package var targetBytesMax = 8 * 1024
  /// A header section is held in memory before anyone is authenticated; 32 KiB leaves room for
  /// large cookies and tokens, and nothing for header bombs. Answered 431.
  package var fieldSectionBytesMax = 32 * 1024
  /// Many tiny fields cost more in bookkeeping than in bytes. Answered 431.
  package var fieldsMax = 100
  /// A client may send CRLF too many after a body (RFC 9112 section 2.2); a stream of them would
  /// keep a connection busy without a request.
  package var leadingEmptyLinesMax = 1
  /// Bodies are bounded before they are read (Content-Length) and while they are (chunked), since
  /// JSON bodies are held whole. Answered 413.
  package var bodyBytesMax: UInt64 = 4 * 1024 * 1024
  /// Chunk extensions are ignored, so they are bytes that cost without a use.
  package var chunkExtensionBytesMax = 256
  /// One-byte chunks with padding make a small body cost many times its size: each chunk may have
  /// 16 bytes of framing and twice its data free, and what is above that adds up to at most this.
  package var chunkOverheadBytesMax = 16 * 1024
  /// Trailers come after the body, when the request seems paid for; they have a budget of their
  /// own. Answered 431.
  package var trailerSectionBytesMax = 8 * 1024
  package var trailersMax = 32
  /// Pipelined requests wait in memory while one is answered; over this the socket is not read.
  package var bufferedBytesMax = 64 * 1024
  /// What is read and thrown away of a body that nobody wanted, so that the connection can be
  /// kept; a larger rest closes it.
  package var discardedBodyBytesMax: UInt64 = 64 * 1024
  /// A reason phrase means nothing; it is read to find the end of the line.
  package var reasonBytesMax = 512
  /// A server that sends 1xx for ever would keep a call waiting without an answer.
  package var informationalResponsesMax = 8

  package init() {}
}
