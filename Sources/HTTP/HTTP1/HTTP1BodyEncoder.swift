/// How the sender knows its body's length.
package enum HTTP1OutgoingBody: Equatable, Sendable {
  case none
  case length(UInt64)
  /// Length unknown when the head is sent: chunked, or until close for an HTTP/1.0 client.
  case stream
}

/// A mistake of the sender, our own side: nothing invalid is ever written to the connection.
package enum HTTP1EncodingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A method, target or authority that is not valid in a request line or Host.
  case requestInvalid(String)
  /// A name that is not a token, or a value with a control character.
  case fieldInvalid(name: String)
  /// A field that the encoder writes itself.
  case fieldReserved(name: String)
  /// A status that cannot have content was given some.
  case contentForbidden(HTTPStatus)
  case bodyLongerThanDeclared
  case bodyShorterThanDeclared(missingBytes: UInt64)
  /// Trailers need chunked coding, which this body or this peer does not have.
  case trailersUnsupported
  /// A head, body or end at a moment when none can be sent.
  case outOfOrder

  package var description: String {
    switch self {
    case .requestInvalid(let part): "the request's \(part) is not valid in HTTP/1.1"
    case .fieldInvalid(let name): "field \(name) has bytes that HTTP does not allow"
    case .fieldReserved(let name): "field \(name) is written by the encoder; do not supply it"
    case .contentForbidden(let status): "a response with status \(status) has no content"
    case .bodyLongerThanDeclared: "more body bytes than the declared length"
    case .bodyShorterThanDeclared(let missing): "the body ended \(missing) bytes too early"
    case .trailersUnsupported: "trailers need a streamed body and an HTTP/1.1 peer"
    case .outOfOrder: "a part of a message was sent out of order"
    }
  }
}

/// Writes one message's body in its framing.
struct HTTP1BodyEncoder {
  enum Framing: Equatable {
    case length(left: UInt64)
    case chunked
    case untilClose
    /// The answer to HEAD: what would be the body is dropped.
    case dropped
  }

  private(set) var framing: Framing

  mutating func write(
    _ bytes: Span<UInt8>, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    switch framing {
    case .dropped: return
    case .length(let left):
      guard UInt64(bytes.count) <= left else { throw .bodyLongerThanDeclared }
      framing = .length(left: left - UInt64(bytes.count))
      output.append(bytes)
    case .untilClose: output.append(bytes)
    case .chunked:
      // An empty chunk would end the body.
      guard bytes.count > 0 else { return }
      output.append(contentsOf: String(bytes.count, radix: 16).utf8)
      output.append(line: "")
      output.append(bytes)
      output.append(line: "")
    }
  }

  func end(trailers: HTTPHeaders, into output: inout [UInt8]) throws(HTTP1EncodingError) {
    switch framing {
    case .chunked:
      let start = output.count
      output.append(line: "0")
      do throws(HTTP1EncodingError) {
        try HTTP1FieldWriter.write(trailers, into: &output)
      } catch {
        output.removeSubrange(start...)
        throw error
      }
      output.append(line: "")
    case .length(let left) where left > 0: throw .bodyShorterThanDeclared(missingBytes: left)
    default: guard trailers.isEmpty else { throw .trailersUnsupported }
    }
  }
}

enum HTTP1FieldWriter {
  /// Fields that the encoders write themselves, from what they know of framing and connection.
  private static let reserved: Set<String> = [
    "connection", "content-length", "host", "keep-alive", "transfer-encoding",
  ]

  /// Writes every field as a line; throws before a field with an unsafe byte is written.
  static func write(
    _ headers: HTTPHeaders, into output: inout [UInt8]
  ) throws(HTTP1EncodingError) {
    try headers.forEachField { (name, value) throws(HTTP1EncodingError) in
      guard name.count > 0, ByteSet.token.containsAll(name) else {
        throw .fieldInvalid(name: String(copying: name))
      }
      for index in value.indices where !value[index].isFieldValue {
        throw .fieldInvalid(name: String(copying: name))
      }
      output.append(name)
      output.append(UInt8(ascii: ":"))
      output.append(.space)
      output.append(value)
      output.append(line: "")
    }
  }

  static func refuseReserved(_ headers: HTTPHeaders) throws(HTTP1EncodingError) {
    for name in reserved where headers.contains(name) { throw .fieldReserved(name: name) }
  }
}

extension [UInt8] {
  mutating func append(_ bytes: Span<UInt8>) {
    bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
  }

  mutating func append(line: String) {
    append(contentsOf: line.utf8)
    append(.carriageReturn)
    append(.lineFeed)
  }
}
