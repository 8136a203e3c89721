import Protobuf
import RPCCore

/// The messages of `grpc.health.v1.Health`, by hand: this module is below the generated ones.
enum HealthMessages {
  /// A response has one number in it, and whatever later versions add.
  static let responseBytesMax = 1024

  private static let names = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]

  /// A `HealthCheckRequest` behind its prefix.
  static func request(_ service: String) -> [UInt8] {
    var message = [UInt8](repeating: 0, count: MessageDeframer.prefixBytes)
    if !service.isEmpty {
      message.append(1 << 3 | WireType.lengthPrefixed.rawValue)
      var length = service.utf8.count
      while length >= 0x80 {
        message.append(UInt8(length & 0x7F) | 0x80)
        length >>= 7
      }
      message.append(UInt8(length))
      message += service.utf8
    }
    MessageDeframer.writePrefix(into: &message)
    return message
  }

  /// The status in a `HealthCheckResponse`.
  static func health(
    _ response: UnsafeRawBufferPointer, of service: String
  ) throws(RPCError) -> ServerHealth {
    var status: UInt64 = 0
    do throws(ProtobufError) {
      var input = WireInput(response)
      while !input.isAtEnd {
        let tag = try input.readTag()
        if tag.number == 1 {
          guard tag.wireType == .varint else {
            throw ProtobufError(.unsupportedWireType(tag.wireType.rawValue))
          }
          status = try input.readVarint()
        } else {
          _ = try input.skip(tag.wireType)
        }
      }
    } catch {
      throw RPCError(.internal, "what it says cannot be decoded: \(error)")
    }
    if status == 1 { return .serving }
    let name = status < names.count ? names[Int(status)] : "status \(status)"
    return .notServing(reason: service.isEmpty ? name : "\(name) for \(service)")
  }
}
