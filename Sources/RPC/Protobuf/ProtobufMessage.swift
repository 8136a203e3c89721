/// A message of the contracts, as a Swift value. The generated types conform to it.
package protocol ProtobufMessage: Sendable, Equatable {
  /// The name with its package, such as `storeplane.config.v1.Secret`.
  static var fullName: String { get }

  static var layout: MessageLayout { get }

  /// A message with nothing set.
  init()

  /// Reads the C structure that protobuf-c unpacked.
  init(unpacking pointer: UnsafeRawPointer)

  /// Fills a C structure whose members are all zero; what it points to is allocated in the arena.
  func pack(into pointer: UnsafeMutableRawPointer, in arena: borrowing Arena)
}

extension ProtobufMessage {
  /// Reads a serialized message. Fields that are not in the contract are dropped.
  ///
  /// - Parameter memoryBytes: set to about how many bytes the message takes in memory, rather too many
  ///   than too few; its size on the wire says little, since two bytes there can make a structure.
  /// - Throws: what is wrong and where. Everything is checked before memory is allocated.
  package init(
    serialized bytes: UnsafeRawBufferPointer, limits: DecodingLimits = .default,
    memoryBytes: inout Int
  ) throws(ProtobufError) {
    var message = Self()
    memoryBytes = try Unpack.unpack(bytes, as: Self.layout, limits: limits) {
      message = Self(unpacking: $0)
    }
    self = message
  }

  /// Reads a serialized message. Fields that are not in the contract are dropped.
  package init(
    serialized bytes: UnsafeRawBufferPointer, limits: DecodingLimits = .default
  ) throws(ProtobufError) {
    var memoryBytes = 0
    try self.init(serialized: bytes, limits: limits, memoryBytes: &memoryBytes)
  }

  /// Reads a serialized message. Fields that are not in the contract are dropped.
  package init(
    serialized bytes: [UInt8], limits: DecodingLimits = .default
  ) throws(ProtobufError) {
    self = try bytes.withUnsafeBufferPointer { buffer throws(ProtobufError) in
      try Self(serialized: UnsafeRawBufferPointer(buffer), limits: limits)
    }
  }

  /// The message in the encoding of Protocol Buffers. Equal messages give equal bytes.
  ///
  /// - Parameter headroom: how many zero bytes to leave in front, for a prefix that the caller writes.
  package func serialized(headroom: Int = 0) -> [UInt8] {
    Arena.serialize(Self.layout, headroom: headroom) { pack(into: $0, in: $1) }
  }
}
