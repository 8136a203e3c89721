import HTTP2
import RPCCore

/// The header blocks of a response as they come in; one is reused for all of a connection.
final class ResponseHead: HTTP2HeaderSink {
  private(set) var httpStatus: Int?
  private(set) var contentTypeIsGRPC = false
  private(set) var grpcStatus: Int?
  /// How messages are compressed, nil for an encoding that was not offered.
  private(set) var encoding: MessageEncoding? = .identity
  private(set) var pushback: Pushback?
  private(set) var message = ""
  private(set) var details: [UInt8] = []
  private(set) var metadata = Metadata()

  override func reset() {
    httpStatus = nil
    contentTypeIsGRPC = false
    grpcStatus = nil
    encoding = .identity
    pushback = nil
    if !message.isEmpty { message = "" }
    if !details.isEmpty { details = [] }
    metadata = Metadata()
  }

  override func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) {
    if name.equals(":status") {
      httpStatus = ResponseHead.number(value)
    } else if name.equals("content-type") {
      contentTypeIsGRPC = value.starts(with: "application/grpc")
    } else if name.equals("grpc-status") {
      grpcStatus = ResponseHead.number(value) ?? StatusCode.unknown.rawValue
    } else if name.equals("grpc-encoding") {
      encoding = MessageEncoding(name: value)
    } else {
      addText(String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
    }
  }

  private func addText(_ name: String, _ text: String) {
    switch name {
    case "grpc-retry-pushback-ms": pushback = Pushback(text)
    case "grpc-message": message = GRPCMessageText.decode(text)
    case "grpc-status-details-bin": details = Base64.decode(Array(text.utf8)) ?? []
    case let name where !name.hasPrefix("grpc-") && !name.hasPrefix(":"):
      // A field that cannot be decoded is dropped: the response is still good.
      _ = metadata.appendReceived(name: name, value: text)
    default: break
    }
  }

  /// A status of HTTP or gRPC: a few digits.
  private static func number(_ text: UnsafeBufferPointer<UInt8>) -> Int? {
    if text.isEmpty || text.count > 3 { return nil }
    var number = 0
    for character in text {
      guard (0x30...0x39).contains(character) else { return nil }
      number = number * 10 + Int(character - 0x30)
    }
    return number
  }

  /// Of HTTP 1xx, before the response.
  var isInformational: Bool { httpStatus.map { (100..<200).contains($0) } ?? false }

  /// The outcome that the header block names, nil for headers before the messages.
  var outcome: Result<Void, RPCError>? {
    if let grpcStatus {
      if grpcStatus == 0 { return .success(()) }
      let code = StatusCode(rawValue: grpcStatus) ?? .unknown
      return .failure(RPCError(code, message, details: details))
    }
    guard let httpStatus else {
      return .failure(RPCError(.unknown, "the server ended the call without a status"))
    }
    if httpStatus == 200, contentTypeIsGRPC { return nil }
    let code = StatusCode(httpStatus: httpStatus)
    return .failure(RPCError(code, "the server answered HTTP \(httpStatus), not gRPC"))
  }
}

/// What the server says of a retry (`grpc-retry-pushback-ms`).
enum Pushback: Equatable {
  case after(Duration)
  /// Do not retry: a negative number, or none at all.
  case never

  init(_ text: String) {
    self = UInt32(text).map { .after(.milliseconds($0)) } ?? .never
  }
}
