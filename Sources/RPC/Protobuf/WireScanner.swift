import CProtobufC

/// Checks serialized bytes against a message's descriptor before protobuf-c unpacks them, and adds up
/// what unpacking will need. One pass, no allocation unless there is an error to tell.
///
/// It refuses whatever protobuf-c refuses, so that unpacking can only fail for want of memory, and what
/// protobuf-c lets through to its harm: deep nesting, wire types that are not the contract's, text that
/// is no text, and messages that it would have to merge.
struct WireScanner {
  private typealias Descriptor = UnsafePointer<ProtobufCMessageDescriptor>
  private typealias Field = UnsafePointer<ProtobufCFieldDescriptor>

  private let limits: DecodingLimits
  private var elements = 0
  private var structureBytes = 0

  /// An upper bound of what protobuf-c allocates to unpack the bytes.
  private(set) var memoryBytes = 0

  /// About what the Swift value takes, and rather more: the contents once more; for each field or
  /// element the block that a text, an array or a box has beside its content; and each message in an
  /// array that grew to twice what it needs, with room for the messages in it that are not set.
  var valueBytes: Int {
    memoryBytes + structureBytes + elements * WireScanner.blockBytes
  }

  /// Swift's header of an array (32) and what the allocator adds and rounds.
  private static let blockBytes = 48

  /// Checks the bytes, for what unpacking them will need.
  init(
    _ bytes: UnsafeRawBufferPointer, as layout: MessageLayout, limits: DecodingLimits
  ) throws(ProtobufError) {
    self.limits = limits
    var input = WireInput(bytes)
    try scan(&input, as: layout.descriptor, depth: 0)
  }

  private mutating func scan(
    _ input: inout WireInput, as message: Descriptor, depth: Int
  ) throws(ProtobufError) {
    if depth > limits.depthMax {
      throw ProtobufError(.nestedTooDeeply(depthMax: limits.depthMax))
    }
    try claim(bytes: message.pointee.sizeof_message)
    structureBytes += 2 * message.pointee.sizeof_message
    let whole = input
    var seenMessages: UInt64 = 0
    var fieldCount = 0
    while !input.isAtEnd {
      let before = input
      do throws(ProtobufError) {
        try scanField(&input, of: message, depth: depth, seenMessages: &seenMessages)
      } catch {
        throw error.located(at: before, in: whole, of: message)
      }
      fieldCount += 1
    }
    if fieldCount > ScannedMembers.onStack {
      try claim(bytes: ScannedMembers.bytesAllocatedMax(count: fieldCount))
    }
  }

  private mutating func scanField(
    _ input: inout WireInput, of message: Descriptor, depth: Int, seenMessages: inout UInt64
  ) throws(ProtobufError) {
    try claim(elements: 1)
    let tag = try input.readTag()
    guard let field = message.field(numbered: tag.number) else {
      let count = try input.skip(tag.wireType)
      // The copy of the field's bytes and of their length, and the record that points to it.
      try claim(bytes: count + WireInput.lengthBytesMax)
      return try claim(bytes: MemoryLayout<ProtobufCMessageUnknownField>.size)
    }
    let type = field.pointee.type
    let isRepeated = field.pointee.label == PROTOBUF_C_LABEL_REPEATED
    let expected = type.wireType
    if tag.wireType != expected {
      guard isRepeated, tag.wireType == .lengthPrefixed else {
        throw ProtobufError(
          tag.wireType.isSupported
            ? .wrongWireType(found: tag.wireType.rawValue, expected: expected.rawValue)
            : .unsupportedWireType(tag.wireType.rawValue))
      }
      var content = try input.readLengthPrefixed()
      return try scanPacked(&content, of: expected, type: type)
    }
    if isRepeated { try claim(bytes: MemoryLayout<ProtobufCBinaryData>.size) }
    switch type {
    case PROTOBUF_C_TYPE_STRING:
      let content = try input.readLengthPrefixed()
      if let defect = TextScan.defect(content.cursor, count: content.count) {
        throw ProtobufError(defect)
      }
      try claim(bytes: content.count + 1)
    case PROTOBUF_C_TYPE_BYTES:
      try claim(bytes: try input.readLengthPrefixed().count)
    case PROTOBUF_C_TYPE_MESSAGE:
      if !isRepeated { try mark(field, of: message, in: &seenMessages) }
      var content = try input.readLengthPrefixed()
      let nested = field.pointee.descriptor.assumingMemoryBound(
        to: ProtobufCMessageDescriptor.self)
      try scan(&content, as: nested, depth: depth + 1)
    default:
      _ = try input.skip(expected)
    }
  }

  private mutating func scanPacked(
    _ content: inout WireInput, of wireType: WireType, type: ProtobufCType
  ) throws(ProtobufError) {
    let elementCount: Int
    switch wireType {
    case .fixed32, .fixed64:
      let size = wireType == .fixed32 ? 4 : 8
      guard content.count % size == 0 else { throw ProtobufError(.malformedPackedField) }
      elementCount = content.count / size
    default:
      // For booleans protobuf-c makes room for as many as there are bytes.
      let byteCount = content.count
      var count = 0
      while !content.isAtEnd {
        _ = try content.skip(.varint)
        count += 1
      }
      elementCount = type == PROTOBUF_C_TYPE_BOOL ? byteCount : count
    }
    try claim(elements: elementCount)
    try claim(bytes: elementCount * MemoryLayout<UInt64>.size)
  }

  /// Marks a message field that is not repeated as seen. The generator keeps messages under 65 fields.
  private func mark(
    _ field: Field, of message: Descriptor, in seenMessages: inout UInt64
  ) throws(ProtobufError) {
    let bit: UInt64 = 1 << UInt64(field - message.pointee.fields)
    if seenMessages & bit != 0 { throw ProtobufError(.repeatedMessage) }
    seenMessages |= bit
  }

  private mutating func claim(elements count: Int) throws(ProtobufError) {
    elements += count
    if elements > limits.elementsMax {
      throw ProtobufError(.tooManyElements(elementsMax: limits.elementsMax))
    }
  }

  private mutating func claim(bytes count: Int) throws(ProtobufError) {
    memoryBytes += Arena.rounded(count)
    if memoryBytes > limits.memoryBytesMax {
      throw ProtobufError(.needsTooMuchMemory(memoryBytesMax: limits.memoryBytesMax))
    }
  }
}

/// The list of fields that protobuf-c keeps while it unpacks a message: the first on the stack, the
/// others in slabs, each twice as large as the one before.
private enum ScannedMembers {
  static let onStack = 16
  private static let bytesEach = 32

  static func bytesAllocatedMax(count: Int) -> Int {
    2 * (count + onStack) * bytesEach
  }
}

extension UnsafePointer<ProtobufCMessageDescriptor> {
  fileprivate func field(numbered number: UInt32) -> UnsafePointer<ProtobufCFieldDescriptor>? {
    // Most messages number their fields from 1 without gaps.
    let index = Int(number) - 1
    if index < Int(pointee.n_fields), let fields = pointee.fields, fields[index].id == number {
      return fields + index
    }
    return protobuf_c_message_descriptor_get_field(self, number)
  }
}

extension ProtobufCType {
  fileprivate var wireType: WireType {
    switch self {
    case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE: .lengthPrefixed
    case PROTOBUF_C_TYPE_SFIXED32, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_FLOAT: .fixed32
    case PROTOBUF_C_TYPE_SFIXED64, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_DOUBLE: .fixed64
    default: .varint
    }
  }
}

extension ProtobufError {
  /// Names the field that starts at `place`, with its index when it is repeated.
  fileprivate func located(
    at place: WireInput, in whole: WireInput, of message: UnsafePointer<ProtobufCMessageDescriptor>
  ) -> ProtobufError {
    var input = place
    guard let tag = try? input.readTag() else { return self }
    guard let field = message.field(numbered: tag.number) else {
      return inside("field \(tag.number)")
    }
    let name = String(cString: field.pointee.name)
    guard field.pointee.label == PROTOBUF_C_LABEL_REPEATED else { return inside(name) }
    var index = 0
    input = whole
    while input.cursor < place.cursor, let other = try? input.readTag(),
      (try? input.skip(other.wireType)) != nil
    {
      if other.number == tag.number { index += 1 }
    }
    return inside("\(name)[\(index)]")
  }
}
