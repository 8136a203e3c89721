import RPCCore

/// What gRPC reads out of header fields: metadata, timeouts, messages.
enum HeadersTarget {
  /// A name, a zero, a value.
  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    let zero = input.firstIndex(of: 0) ?? input.endIndex
    let name = String(decoding: input[..<zero], as: UTF8.self)
    let value = Array(input[min(zero + 1, input.endIndex)...])
    receiveMetadata(name, value)
    readTimeout(value)
    readMessage(value)
    return 0
  }

  /// Binary values that are taken survive the way out and in again.
  private static func receiveMetadata(_ name: String, _ value: [UInt8]) {
    let text = String(decoding: value, as: UTF8.self)
    var metadata = Metadata()
    _ = metadata.appendReceived(name: name, value: text)
    var binary = Metadata()
    guard binary.appendReceived(name: "x-bin", value: text) else { return }
    var again = Metadata()
    binary.writeAll {
      precondition(again.appendReceived(name: $0, value: $1), "what we write cannot be read")
    }
    precondition(again == binary, "a binary value changed on its way")
  }

  /// A timeout is never shortened by being written again.
  private static func readTimeout(_ value: [UInt8]) {
    guard let timeout = value.withUnsafeBufferPointer({ GRPCTimeout.decode($0) }) else { return }
    precondition(value.count <= 9 && timeout >= 0, "a timeout that is none")
    let written = Array(GRPCTimeout.encode(nanoseconds: timeout).utf8)
    let again = written.withUnsafeBufferPointer { GRPCTimeout.decode($0) }
    precondition(again.map { $0 >= timeout } == true, "a timeout was cut short")
  }

  private static func readMessage(_ value: [UInt8]) {
    let text = String(decoding: value, as: UTF8.self)
    _ = GRPCMessageText.decode(text)
    let encoded = GRPCMessageText.encode(text)
    precondition(encoded.utf8.allSatisfy { (0x20...0x7E).contains($0) }, "not printable ASCII")
    precondition(GRPCMessageText.decode(encoded) == text, "a message changed on its way")
  }
}
