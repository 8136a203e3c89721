/// Why bytes are not a message that can be accepted.
package struct ProtobufError: Error, Equatable, CustomStringConvertible {
  package enum Reason: Equatable, Sendable {
    /// The bytes end inside a field.
    case truncated
    /// A tag is longer than five bytes or has a field number outside 1 ... 2^29-1.
    case malformedTag
    /// A number is longer than ten bytes, or the length of a field longer than five.
    case malformedVarint
    /// The length of a packed field is no multiple of its elements' size.
    case malformedPackedField
    /// Groups and the two wire types without a meaning.
    case unsupportedWireType(UInt8)
    /// The field is of another type than the contract says.
    case wrongWireType(found: UInt8, expected: UInt8)
    case invalidUTF8
    case containsNUL
    /// A message field that is not repeated is there twice. Merging the two, as the encoding allows,
    /// is something no serializer asks for and protobuf-c does wrongly.
    case repeatedMessage
    case nestedTooDeeply(depthMax: Int)
    case tooManyElements(elementsMax: Int)
    case needsTooMuchMemory(memoryBytesMax: Int)
    /// protobuf-c did not unpack what passed all checks: there was no memory.
    case notUnpacked
  }

  package let reason: Reason

  /// Where in the message it is, such as `stores[3].name`, by the names of the contract; empty for
  /// the message itself.
  package let path: String

  package init(_ reason: Reason, path: String = "") {
    self.reason = reason
    self.path = path
  }

  package var description: String {
    "\(path.isEmpty ? "the message" : path): \(reason.description)"
  }

  /// The same error, seen from the message that holds the field where it is.
  func inside(_ field: String) -> ProtobufError {
    ProtobufError(reason, path: path.isEmpty ? field : "\(field).\(path)")
  }
}

extension ProtobufError.Reason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .truncated: "ends in the middle of a field"
    case .malformedTag: "has a malformed tag"
    case .malformedVarint: "has a malformed number or length"
    case .malformedPackedField: "has a length that its elements do not fill"
    case .unsupportedWireType(let type): "wire type \(type) is not supported"
    case .wrongWireType(let found, let expected):
      "has wire type \(found) where the contract has \(expected)"
    case .invalidUTF8: "not valid UTF-8"
    case .containsNUL: "contains a NUL character"
    case .repeatedMessage: "is there more than once but is not a repeated field"
    case .nestedTooDeeply(let depthMax): "nests more than \(depthMax) messages deep"
    case .tooManyElements(let elementsMax): "has more than \(elementsMax) fields and elements"
    case .needsTooMuchMemory(let memoryBytesMax):
      "needs more than \(memoryBytesMax) bytes of memory"
    case .notUnpacked: "could not be unpacked for want of memory"
    }
  }
}
