/// The fields of a header or trailer section, in order; a name may occur more than once.
///
/// Names are kept in lower case, as HTTP/2 sends them, and looked up without regard to case.
/// All bytes lie in one array, so a section costs two allocations however many fields it has;
/// values are bytes as received (obs-text included) and become `String` when asked for.
package struct HTTPHeaders: Sendable {
  private struct Entry: Sendable {
    var start: UInt32
    var nameLength: UInt32
    var valueLength: UInt32

    var nameRange: Range<Int> { Int(start)..<Int(start + nameLength) }
    var valueRange: Range<Int> { nameRange.upperBound..<nameRange.upperBound + Int(valueLength) }
  }

  /// What HPACK adds a field for its bookkeeping (RFC 7541 section 4.1).
  package static let fieldOverheadBytes = 32

  private var bytes: [UInt8] = []
  private var entries: [Entry] = []

  package init() {}

  /// Reserves memory for a section of the usual size, so that it is not grown field by field.
  package init(reservingFields fields: Int, bytes: Int) {
    entries.reserveCapacity(fields)
    self.bytes.reserveCapacity(bytes)
  }

  package var count: Int { entries.count }
  package var isEmpty: Bool { entries.isEmpty }

  /// Sum of name, value and 32 bytes a field: the size that SETTINGS_MAX_HEADER_LIST_SIZE means.
  package var listSizeBytes: Int {
    entries.reduce(0) {
      $0 + Int($1.nameLength) + Int($1.valueLength) + Self.fieldOverheadBytes
    }
  }

  /// The first value of that name.
  package subscript(name: String) -> String? {
    get {
      firstIndex(of: name).map { text(entries[$0].valueRange) }
    }
    set {
      remove(name)
      if let newValue { append(name, newValue) }
    }
  }

  package func contains(_ name: String) -> Bool {
    firstIndex(of: name) != nil
  }

  /// Every value of that name, in order; not split at commas.
  package func values(of name: String) -> [String] {
    entries.indices.filter { matches($0, name) }.map { text(entries[$0].valueRange) }
  }

  /// Members of a comma-separated list field, over all its lines, in lower case, empty ones left
  /// out (RFC 9110 section 5.6.1). For lists of tokens only: quotes are not interpreted.
  package func tokens(of name: String) -> [String] {
    var result: [String] = []
    for index in entries.indices where matches(index, name) {
      var rest = bytes[entries[index].valueRange]
      while !rest.isEmpty {
        let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.endIndex
        if let member = Self.trimmed(rest[..<end]) {
          result.append(String(decoding: member.map(\.lowercased), as: UTF8.self))
        }
        rest = rest[end...].dropFirst()
      }
    }
    return result
  }

  /// Nil where nothing is left.
  private static func trimmed(_ member: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let start = member.firstIndex(where: { !$0.isBlank }),
      let last = member.lastIndex(where: { !$0.isBlank })
    else { return nil }
    return member[start...last]
  }

  package mutating func append(_ name: String, _ value: String) {
    let start = bytes.count
    bytes.append(contentsOf: name.utf8.lazy.map(\.lowercased))
    bytes.append(contentsOf: value.utf8)
    record(start: start, nameLength: name.utf8.count)
  }

  /// Appends a field from a decoder's own memory; the bytes are copied.
  package mutating func append(name: Span<UInt8>, value: Span<UInt8>) {
    let start = bytes.count
    name.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    for index in start..<bytes.count { bytes[index] = bytes[index].lowercased }
    value.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    record(start: start, nameLength: name.count)
  }

  /// Removes every field of that name.
  package mutating func remove(_ name: String) {
    guard contains(name) else { return }
    var kept = HTTPHeaders()
    for index in entries.indices where !matches(index, name) {
      kept.bytes.append(contentsOf: bytes[entries[index].nameRange])
      kept.bytes.append(contentsOf: bytes[entries[index].valueRange])
      kept.record(
        start: kept.bytes.count - Int(entries[index].nameLength + entries[index].valueLength),
        nameLength: Int(entries[index].nameLength))
    }
    self = kept
  }

  /// Calls `body` with each field's bytes, in order, without making strings.
  package func forEachField<Failure: Error>(
    _ body: (_ name: Span<UInt8>, _ value: Span<UInt8>) throws(Failure) -> Void
  ) throws(Failure) {
    for entry in entries {
      try body(
        bytes.span.extracting(entry.nameRange), bytes.span.extracting(entry.valueRange))
    }
  }

  private mutating func record(start: Int, nameLength: Int) {
    entries.append(
      Entry(
        start: UInt32(start), nameLength: UInt32(nameLength),
        valueLength: UInt32(bytes.count - start - nameLength)))
  }

  private func text(_ range: Range<Int>) -> String {
    String(copying: bytes.span.extracting(range))
  }

  private func firstIndex(of name: String) -> Int? {
    entries.indices.first { matches($0, name) }
  }

  private func matches(_ index: Int, _ name: String) -> Bool {
    let entry = entries[index]
    guard name.utf8.count == Int(entry.nameLength) else { return false }
    var position = Int(entry.start)
    for byte in name.utf8 {
      if bytes[position] != byte.lowercased { return false }
      position += 1
    }
    return true
  }
}

extension HTTPHeaders: Sequence {
  package struct Field: Hashable, Sendable {
    package let name: String
    package let value: String
  }

  package func makeIterator() -> AnyIterator<Field> {
    var index = 0
    return AnyIterator {
      guard index < entries.count else { return nil }
      defer { index += 1 }
      return Field(
        name: text(entries[index].nameRange), value: text(entries[index].valueRange))
    }
  }
}

extension HTTPHeaders: Equatable {
  /// Same fields with the same bytes in the same order.
  package static func == (left: HTTPHeaders, right: HTTPHeaders) -> Bool {
    left.entries.count == right.entries.count
      && zip(left.entries, right.entries).allSatisfy { one, other in
        one.nameLength == other.nameLength
          && left.bytes[one.nameRange] == right.bytes[other.nameRange]
          && left.bytes[one.valueRange] == right.bytes[other.valueRange]
      }
  }
}

extension HTTPHeaders: ExpressibleByDictionaryLiteral {
  package init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { append(name, value) }
  }
}

extension HTTPHeaders: CustomStringConvertible {
  /// Names only: values may be credentials.
  package var description: String {
    "[" + map(\.name).joined(separator: ", ") + "]"
  }
}
