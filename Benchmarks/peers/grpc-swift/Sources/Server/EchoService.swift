import GRPCCore

/// The calls of the echo contract that the benchmark makes, over serialized messages: what is measured
/// is the runtime, and no generated code is needed.
struct EchoService: RegistrableRPCService {
  func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
    router.registerHandler(
      forMethod: EchoService.method("Echo"), deserializer: Bytes(), serializer: Bytes()
    ) { request, _ in
      // The response has the request's fields, under the same numbers.
      let message = try await ServerRequest(stream: request).message
      return StreamingServerResponse(single: ServerResponse(message: message))
    }
    router.registerHandler(
      forMethod: EchoService.method("Expand"), deserializer: Bytes(), serializer: Bytes()
    ) { request, _ in
      let expansion = try Expansion(try await ServerRequest(stream: request).message)
      return StreamingServerResponse { writer in
        for index in 0..<expansion.count { try await writer.write(expansion.message(index)) }
        return [:]
      }
    }
  }

  private static func method(_ name: String) -> MethodDescriptor {
    MethodDescriptor(fullyQualifiedService: "storeplane.testing.v1.EchoService", method: name)
  }
}

/// Messages as they are on the wire.
private struct Bytes: MessageSerializer, MessageDeserializer {
  func serialize<Output: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Output {
    Output(message)
  }

  func deserialize<Input: GRPCContiguousBytes>(_ serialized: Input) throws -> [UInt8] {
    serialized.withUnsafeBytes { [UInt8]($0) }
  }
}

/// An `ExpandRequest` as the benchmark sends it: a short text, and how many times to send it.
private struct Expansion {
  private static let textTag: UInt8 = 1 << 3 | 2
  private static let countTag: UInt8 = 2 << 3
  private static let indexTag: UInt8 = 3 << 3

  /// The text's field, tag and length included: the same in the response.
  private let text: ArraySlice<UInt8>
  let count: UInt32

  init(_ request: [UInt8]) throws {
    guard request.count > 2, request[0] == Expansion.textTag, request[1] < 0x80,
      case let end = 2 + Int(request[1]), request.count > end + 1,
      request[end] == Expansion.countTag
    else { throw RPCError(code: .invalidArgument, message: "expected a text and a count") }
    text = request[..<end]
    count = request[(end + 1)...].reversed().reduce(0) { $0 << 7 | UInt32($1 & 0x7F) }
  }

  func message(_ index: UInt32) -> [UInt8] {
    var message = Array(text)
    message.reserveCapacity(message.count + 6)
    var rest = index
    // Zero is what a missing field means.
    if rest > 0 { message.append(Expansion.indexTag) }
    while rest > 0 {
      message.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
      rest >>= 7
    }
    return message
  }
}
