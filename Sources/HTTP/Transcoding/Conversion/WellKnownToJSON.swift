import Descriptors
import JSON

// MARK: Well-known types. The indexes are those of their fields, in the order of their contracts.

extension WireToJSON {
  /// - Parameter base: where the message's occurrences begin.
  mutating func wellKnown(
    _ known: WellKnownType, _ type: MessageDescriptor, from base: Int, depth: Int
  ) throws(TranscodingError) {
    switch known {
    case .structure: try structure(from: base, type, depth: depth)
    case .value: try value(from: base, type, depth: depth)
    case .listValue: try list(from: base, type, depth: depth)
    case .any: try any(from: base, depth: depth)
    case .wrapper: try scalar(type.fields[0], at: last(0, from: base))
    case .timestamp:
      try text(TimestampText.write(time(from: base)), "a time out of range")
    case .duration: try text(DurationText.write(time(from: base)), "a duration out of range")
    case .fieldMask:
      try text(FieldMaskText.write(texts(from: base)), "a path that JSON has no form for")
    }
  }

  private mutating func text(_ text: String?, _ otherwise: String) throws(TranscodingError) {
    guard let text else { throw fault("is \(otherwise)") }
    writer.string(text)
  }

  private func last(_ field: Int, from base: Int) -> Int? {
    occurrences[base...].lastIndex { $0.field == field }
  }

  private func time(from base: Int) throws(TranscodingError) -> SecondsAndNanos {
    var values: [UInt64] = [0, 0]
    for field in 0...1 {
      guard let index = last(field, from: base) else { continue }
      guard occurrences[index].wireType == .varint else { throw wrongWireType }
      values[field] = bits(.varint, occurrences[index].range)
    }
    return SecondsAndNanos(
      seconds: Int64(bitPattern: values[0]), nanos: Int32(truncatingIfNeeded: values[1]))
  }

  private func texts(from base: Int) throws(TranscodingError) -> [String] {
    var texts: [String] = []
    for index in base..<occurrences.count { texts.append(try validText(content(at: index))) }
    return texts
  }

  private mutating func structure(
    from base: Int, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    guard let entry = pool.messageType(of: type.fields[0]) else { throw wrongWireType }
    try map(entry, at: base..<occurrences.count, depth: depth)
  }

  private mutating func list(
    from base: Int, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    writer.openArray()
    try elements(type.fields[0], at: base..<occurrences.count, depth: depth)
    writer.closeArray()
  }

  /// `google.protobuf.Value`: null, a number, a string, a boolean, a struct or a list.
  private mutating func value(
    from base: Int, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    let last = occurrences.indices.dropFirst(base).max {
      occurrences[$0].range.lowerBound < occurrences[$1].range.lowerBound
    }
    guard let last else { return writer.null() }
    let field = type.fields[occurrences[last].field]
    switch field.number {
    case 1: writer.null()
    case 2:
      guard occurrences[last].wireType == .fixed64 else { throw wrongWireType }
      let number = Double(bitPattern: bits(.fixed64, occurrences[last].range))
      guard number.isFinite else { throw fault("is a number that JSON has no form for") }
      // A 5 that a client sent comes back as 5: Value has doubles only.
      if let integer = Int64(exactly: number), number.magnitude < 0x1p53,
        number.sign == .plus || integer != 0
      {
        writer.integer(integer)
      } else {
        writer.double(number)
      }
    default:
      let same = occurrences[base...].indices.filter {
        occurrences[$0].field == occurrences[last].field
      }
      try self.field(field, at: (same.first ?? last)..<last + 1, depth: depth)
    }
  }

  private mutating func any(from base: Int, depth: Int) throws(TranscodingError) {
    writer.openObject()
    defer { writer.closeObject() }
    let url = try last(0, from: base).map { index throws(TranscodingError) in
      try validText(content(at: index))
    }
    guard let url, !url.isEmpty else { return }
    guard let type = AnyType.message(url, in: pool) else {
      throw fault("is of a type that is not known here").inside(.key("@type"))
    }
    writer.key("@type")
    writer.string(url)
    let packed = try last(1, from: base).map { index throws(TranscodingError) in
      try content(at: index)
    }
    let pieces = Pieces(first: packed ?? 0..<0)
    if type.wellKnownType != nil {
      writer.key("value")
      try message(pieces, type, depth: depth + 1)
      return
    }
    let inner = try enter(pieces, type, depth: depth + 1)
    defer { occurrences.removeLast(occurrences.count - inner) }
    try fields(of: type, from: inner, depth: depth + 1)
  }
}
