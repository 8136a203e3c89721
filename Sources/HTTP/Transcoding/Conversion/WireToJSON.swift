import Descriptors
import JSON

/// Turns a message's bytes into JSON, after proto3's JSON mapping, without values in between.
///
/// The bytes are those of a service of ours, but nothing is taken on trust. Fields that the contract
/// does not have are left out. Of a singular field that occurs twice the last counts, and messages
/// are merged, as protobuf's encoding has it.
struct WireToJSON {
  /// A field's value as found on the wire.
  struct Occurrence {
    let field: Int
    let wireType: WireType
    /// Of the value; behind the length where there is one.
    let range: Range<Int>
  }

  /// Where the bytes of a message are: in several places where it occurred several times. Almost all
  /// messages are in one, for which no array is made.
  struct Pieces {
    var first: Range<Int>
    var rest: [Range<Int>] = []
  }

  let pool: DescriptorPool
  let options: TranscodingOptions
  let bytes: UnsafeRawBufferPointer
  var writer: JSONWriter
  /// Those of the messages being written, the innermost last.
  var occurrences: [Occurrence] = []

  init(
    _ bytes: UnsafeRawBufferPointer, _ pool: DescriptorPool, _ options: TranscodingOptions
  ) {
    self.bytes = bytes
    self.pool = pool
    self.options = options
    writer = JSONWriter(reservingBytes: 256 + bytes.count * 2)
  }

  static func message(
    _ bytes: UnsafeRawBufferPointer, _ type: MessageDescriptor, _ pool: DescriptorPool,
    _ options: TranscodingOptions
  ) throws(TranscodingError) -> [UInt8] {
    var conversion = WireToJSON(bytes, pool, options)
    try conversion.message(Pieces(first: 0..<bytes.count), type, depth: 0)
    return conversion.writer.bytes
  }

  func fault(_ reason: String) -> TranscodingError {
    TranscodingError(reason, in: .response)
  }

  // MARK: Messages

  mutating func message(
    _ pieces: Pieces, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) {
    let base = try enter(pieces, type, depth: depth)
    defer { occurrences.removeLast(occurrences.count - base) }
    if let known = type.wellKnownType {
      try wellKnown(known, type, from: base, depth: depth)
    } else {
      writer.openObject()
      try fields(of: type, from: base, depth: depth)
      writer.closeObject()
    }
    guard writer.bytes.count <= options.outputBytesMax else {
      throw fault("the document has more than \(options.outputBytesMax) bytes; ask for less")
    }
  }

  /// Finds the message's fields, and returns where its occurrences begin.
  mutating func enter(
    _ pieces: Pieces, _ type: MessageDescriptor, depth: Int
  ) throws(TranscodingError) -> Int {
    guard depth <= options.depthMax else {
      throw fault("nested more than \(options.depthMax) messages deep")
    }
    let base = occurrences.count
    try scan(pieces.first, type)
    for piece in pieces.rest { try scan(piece, type) }
    var isOrdered = true
    for index in occurrences.indices.dropFirst(base + 1)
    where occurrences[index].field < occurrences[index - 1].field {
      isOrdered = false
    }
    // Serializers write in the order of the numbers, which most contracts follow.
    if !isOrdered {
      occurrences[base...].sort {
        ($0.field, $0.range.lowerBound) < ($1.field, $1.range.lowerBound)
      }
    }
    return base
  }

  private mutating func scan(
    _ range: Range<Int>, _ type: MessageDescriptor
  ) throws(TranscodingError) {
    do throws(WireError) {
      var reader = WireReader(bytes, range)
      while let tag = try reader.tag() {
        var content = reader.position..<reader.position
        if tag.wireType == .lengthPrefixed {
          content = try reader.lengthPrefixed()
        } else {
          try reader.skip(tag.wireType)
          content = content.lowerBound..<reader.position
        }
        if let field = type.fieldIndex(number: tag.number) {
          occurrences.append(
            Occurrence(field: field, wireType: tag.wireType, range: content))
        }
      }
    } catch {
      throw fault("the message \(error)")
    }
  }

  mutating func fields(
    of type: MessageDescriptor, from base: Int, depth: Int
  ) throws(TranscodingError) {
    let end = occurrences.count
    var next = base
    for (index, field) in type.fields.enumerated() {
      let first = next
      while next < end, occurrences[next].field == index { next += 1 }
      if first == next, !options.writesDefaults || field.hasPresence { continue }
      if field.oneof != nil, isReplaced(field, type, at: next - 1, among: base..<end) { continue }
      writer.key(field.jsonName)
      do throws(TranscodingError) {
        try self.field(field, at: first..<next, depth: depth)
      } catch {
        throw error.inside(.key(field.jsonName))
      }
    }
  }

  /// Whether another member of the oneof comes later.
  private func isReplaced(
    _ field: FieldDescriptor, _ type: MessageDescriptor, at last: Int, among all: Range<Int>
  ) -> Bool {
    let own = occurrences[last]
    return occurrences[all].contains {
      $0.field != own.field && type.fields[$0.field].oneof == field.oneof
        && $0.range.lowerBound > own.range.lowerBound
    }
  }

  // MARK: Fields

  mutating func field(
    _ field: FieldDescriptor, at found: Range<Int>, depth: Int
  ) throws(TranscodingError) {
    if field.isMap, let entry = pool.messageType(of: field) {
      try map(entry, at: found, depth: depth)
    } else if field.isRepeated {
      writer.openArray()
      try elements(field, at: found, depth: depth)
      writer.closeArray()
    } else if let type = pool.messageType(of: field) {
      try message(contents(at: found), type, depth: depth + 1)
    } else {
      try scalar(field, at: found.last)
    }
  }

  /// The contents of a message field that is there.
  func contents(at found: Range<Int>) throws(TranscodingError) -> Pieces {
    var pieces = Pieces(first: try content(at: found.lowerBound))
    for index in found.dropFirst() { pieces.rest.append(try content(at: index)) }
    return pieces
  }

  func content(at index: Int) throws(TranscodingError) -> Range<Int> {
    guard occurrences[index].wireType == .lengthPrefixed else { throw wrongWireType }
    return occurrences[index].range
  }

  var wrongWireType: TranscodingError {
    fault("is of another type in the message than in the contract")
  }

  mutating func elements(
    _ field: FieldDescriptor, at found: Range<Int>, depth: Int
  ) throws(TranscodingError) {
    let type = pool.messageType(of: field)
    var count = 0
    for index in found {
      let occurrence = occurrences[index]
      do throws(TranscodingError) {
        if let type {
          try message(Pieces(first: try content(at: index)), type, depth: depth + 1)
          count += 1
        } else if occurrence.wireType == field.kind.wireType {
          try scalar(field.kind, occurrence.range)
          count += 1
        } else if occurrence.wireType == .lengthPrefixed {
          try packed(field.kind, occurrence.range, &count)
        } else {
          throw wrongWireType
        }
      } catch {
        throw error.inside(.index(count))
      }
    }
  }

  private mutating func packed(
    _ kind: FieldDescriptor.Kind, _ range: Range<Int>, _ count: inout Int
  ) throws(TranscodingError) {
    var reader = WireReader(bytes, range)
    while !reader.isAtEnd {
      let start = reader.position
      do throws(WireError) {
        try reader.skip(kind.wireType)
      } catch {
        throw fault("the list \(error)")
      }
      try scalar(kind, start..<reader.position)
      count += 1
    }
  }

  mutating func map(
    _ entry: MessageDescriptor, at found: Range<Int>, depth: Int
  ) throws(TranscodingError) {
    let valueField = entry.fields[1]
    writer.openObject()
    for (key, range) in try entries(entry, at: found, depth: depth) {
      do throws(TranscodingError) {
        let base = try enter(Pieces(first: range), entry, depth: depth + 1)
        defer { occurrences.removeLast(occurrences.count - base) }
        writer.key(key)
        let first = occurrences[base...].firstIndex { $0.field == 1 }
        if let type = pool.messageType(of: valueField) {
          let pieces = try first.map { first throws(TranscodingError) in
            try contents(at: first..<occurrences.count)
          }
          try message(pieces ?? Pieces(first: 0..<0), type, depth: depth + 2)
        } else {
          try scalar(valueField, at: first.map { _ in occurrences.count - 1 })
        }
      } catch {
        throw error.inside(.key(key))
      }
    }
    writer.closeObject()
  }

  /// The entries of a map by their keys' text; of equal keys the last, as JSON allows one of each.
  private mutating func entries(
    _ entry: MessageDescriptor, at found: Range<Int>, depth: Int
  ) throws(TranscodingError) -> [(key: String, range: Range<Int>)] {
    var entries: [(key: String, range: Range<Int>)] = []
    entries.reserveCapacity(found.count)
    for index in found {
      let content = try content(at: index)
      let base = try enter(Pieces(first: content), entry, depth: depth + 1)
      let key = try keyText(
        entry.fields[0], at: occurrences[base...].lastIndex { $0.field == 0 })
      occurrences.removeLast(occurrences.count - base)
      entries.append((key, content))
    }
    return entries.count > 1 ? lastOfEach(entries) : entries
  }

  private func lastOfEach(
    _ entries: [(key: String, range: Range<Int>)]
  ) -> [(key: String, range: Range<Int>)] {
    var unique: [(key: String, range: Range<Int>)] = []
    unique.reserveCapacity(entries.count)
    // By bytes: strings that Unicode holds for equal are different keys.
    var positions: [[UInt8]: Int] = [:]
    for entry in entries {
      let bytes = Array(entry.key.utf8)
      if let position = positions[bytes] {
        unique[position] = entry
      } else {
        positions[bytes] = unique.count
        unique.append(entry)
      }
    }
    return unique
  }

  private func keyText(
    _ field: FieldDescriptor, at index: Int?
  ) throws(TranscodingError) -> String {
    if case .string = field.kind {
      guard let index else { return "" }
      return try validText(content(at: index))
    }
    let found = try index.map { index throws(TranscodingError) in
      guard occurrences[index].wireType == field.kind.wireType else { throw wrongWireType }
      return bits(field.kind.wireType, occurrences[index].range)
    }
    return ScalarWriting.keyText(found ?? 0, as: field.kind)
  }

  // MARK: Scalars

  /// The value there, or the default where there is none.
  mutating func scalar(
    _ field: FieldDescriptor, at index: Int?
  ) throws(TranscodingError) {
    guard let index else {
      switch field.kind {
      case .string, .bytes: writer.string("")
      default: ScalarWriting.write(0, as: field.kind, to: &writer)
      }
      return
    }
    guard occurrences[index].wireType == field.kind.wireType else { throw wrongWireType }
    try scalar(field.kind, occurrences[index].range)
  }

  mutating func scalar(
    _ kind: FieldDescriptor.Kind, _ range: Range<Int>
  ) throws(TranscodingError) {
    switch kind {
    case .string:
      do throws(UTF8.ValidationError) {
        let content = UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[range])
        writer.string(try UTF8Span(validating: content.span))
      } catch {
        throw notUTF8
      }
    case .bytes: writer.string(Base64.encode(bytes[range]))
    default: ScalarWriting.write(bits(kind.wireType, range), as: kind, to: &writer)
    }
  }

  func validText(_ range: Range<Int>) throws(TranscodingError) -> String {
    do throws(UTF8.ValidationError) {
      let content = UnsafeBufferPointer(rebasing: bytes.bindMemory(to: UInt8.self)[range])
      return String(copying: try UTF8Span(validating: content.span))
    } catch {
      throw notUTF8
    }
  }

  private var notUTF8: TranscodingError { fault("the text is not UTF-8") }

  /// The range was read before; it holds a number.
  func bits(_ wireType: WireType, _ range: Range<Int>) -> UInt64 {
    var reader = WireReader(bytes, range)
    switch wireType {
    case .varint: return (try? reader.varint()) ?? 0
    case .fixed32: return UInt64((try? reader.fixed32()) ?? 0)
    case .fixed64: return (try? reader.fixed64()) ?? 0
    case .lengthPrefixed: return 0
    }
  }
}
