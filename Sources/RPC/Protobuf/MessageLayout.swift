import CProtobufC

/// How protobuf-c lays a message out: the descriptor that protoc-c made, which lives as long as the
/// process and never changes.
package struct MessageLayout: @unchecked Sendable {
  let descriptor: UnsafePointer<ProtobufCMessageDescriptor>

  /// - Parameter descriptor: a `ProtobufCMessageDescriptor` of the generated C.
  package init(_ descriptor: UnsafeRawPointer) {
    self.descriptor = descriptor.assumingMemoryBound(to: ProtobufCMessageDescriptor.self)
  }
}
