/// What a serialized message may demand of the one who reads it. All limits are checked before any
/// memory is allocated for the message.
package struct DecodingLimits: Sendable, Equatable {
  /// How many messages deep a message may nest below the outermost one. protobuf-c unpacks
  /// recursively and without a limit, so deep nesting would overflow the stack.
  package var depthMax: Int

  /// How many fields, unknown ones included, and elements of packed fields a message may have in
  /// all. Two bytes on the wire can become a structure of hundreds.
  package var elementsMax: Int

  /// How many bytes protobuf-c may need to unpack the message: by default, four times what the longest
  /// message of a call takes on the wire.
  package var memoryBytesMax: Int

  package static let `default` = DecodingLimits()

  package init(
    depthMax: Int = 100, elementsMax: Int = 1 << 18, memoryBytesMax: Int = 16 << 20
  ) {
    self.depthMax = depthMax
    self.elementsMax = elementsMax
    self.memoryBytesMax = memoryBytesMax
  }
}
