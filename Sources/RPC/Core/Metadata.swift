import Glibc

/// The custom fields of a call, in the order they were sent, duplicates included.
///
/// Names are lower case. Those that end in `-bin` carry bytes, which travel as base64.
package struct Metadata: @unchecked Sendable, Equatable {
  package enum Value: Sendable, Equatable {
    case text(String)
    case bytes([UInt8])
  }

  /// All fields in one piece, each behind the lengths of its name and its value: most are never looked
  /// at. No array, which costs more to make than to fill. Changed by its only holder, hence Sendable.
  private var storage: Storage?

  /// A class of its own: a copy of what is generic would ask for its type each time.
  private final class Storage: ManagedBuffer<Extent, UInt8> {
    static func make(_ extent: Extent) -> Storage {
      // What `create` makes is of the class that it is called on.
      unsafeDowncast(
        create(minimumCapacity: extent.capacity) { _ in extent }, to: Storage.self)
    }
  }

  private struct Extent {
    var capacity: Int
    var usedBytes = 0
    var count = 0
    /// Whether there are values that travel as base64.
    var hasBytes = false
  }

  private typealias Lengths = (name: UInt32, value: UInt32)
  /// What received fields may come to where values are joined by commas, each of which has the name again:
  /// a header block of 16 KiB could be made into 64 MB.
  package static let joinedBytesMax = 64 * 1024
  /// Room for a request id and a trace.
  private static let capacityMin = 128
  /// Room for the name of the peer's software as well.
  private static let receivedCapacityMin = 256
  /// What may be left over when all has been added; memory beyond is given back.
  private static let spareBytesMax = 256

  package init() {}

  package static func == (left: Metadata, right: Metadata) -> Bool {
    left.withMemory { left in right.withMemory { left.elementsEqual($0) } }
  }

  package var isEmpty: Bool { storage == nil || count == 0 }

  /// How many fields there are.
  package var count: Int { storage?.header.count ?? 0 }

  /// What the names and values take, and eight bytes for each field.
  package var byteCount: Int { storage?.header.usedBytes ?? 0 }

  /// What they take in memory.
  package var memoryBytes: Int { storage?.header.capacity ?? 0 }

  package var entries: [(name: String, value: Value)] {
    var entries: [(name: String, value: Value)] = []
    readAll { name, value in
      let value: Value =
        Metadata.isBinary(name)
        ? .bytes(Array(value)) : .text(String(decoding: value, as: UTF8.self))
      entries.append((String(decoding: name, as: UTF8.self), value))
    }
    return entries
  }

  /// Gives each name and value to `body`, without making text of them: `-bin` values as they are, and
  /// others in UTF-8 if the peer keeps to the rules.
  package func readAll(
    _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void
  ) {
    withMemory { memory in
      var reader = Reader(memory)
      while let field = reader.next() { body(field.name, field.value) }
    }
  }

  /// As `readAll`, with the values as they go onto the wire.
  package func writeAll(
    _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void
  ) {
    written.readAll(body)
  }

  /// The same fields, with the values as they go onto the wire.
  package var written: Metadata {
    guard let storage, storage.header.hasBytes else { return self }
    var written = Metadata()
    readAll { name, value in
      if !Metadata.isBinary(name) { return written.add(name, value) }
      var text = Base64.encode(Array(value))
      text.withUTF8 { written.add(name, $0) }
    }
    return written
  }

  private func withMemory<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
    guard let storage else { return body(UnsafeRawBufferPointer(start: nil, count: 0)) }
    return storage.withUnsafeMutablePointers {
      body(UnsafeRawBufferPointer(start: $1, count: $0.pointee.usedBytes))
    }
  }

  private struct Reader {
    private let memory: UnsafeRawBufferPointer
    private var offset = 0

    init(_ memory: UnsafeRawBufferPointer) { self.memory = memory }

    mutating func next() -> (name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>)? {
      guard offset < memory.count, let base = memory.baseAddress else { return nil }
      let lengths = (base + offset).loadUnaligned(as: Lengths.self)
      let bytes = (base + offset + MemoryLayout<Lengths>.size).assumingMemoryBound(to: UInt8.self)
      let name = UnsafeBufferPointer(start: bytes, count: Int(lengths.name))
      let value = UnsafeBufferPointer(start: bytes + name.count, count: Int(lengths.value))
      offset += MemoryLayout<Lengths>.size + name.count + value.count
      return (name, value)
    }
  }

  private mutating func add(_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>)
  {
    let lengthsBytes = MemoryLayout<Lengths>.size
    let (used, capacity) = storage.map { ($0.header.usedBytes, $0.header.capacity) } ?? (0, 0)
    let end = used + lengthsBytes + name.count + value.count
    if end > capacity || !isKnownUniquelyReferenced(&storage) {
      reserve(byteCount: max(end > capacity ? max(2 * capacity, end) : capacity, Self.capacityMin))
    }
    storage?.withUnsafeMutablePointers { extent, memory in
      let field = UnsafeMutableRawPointer(memory + used)
      field.storeBytes(of: (UInt32(name.count), UInt32(value.count)), as: Lengths.self)
      if let bytes = name.baseAddress {
        (field + lengthsBytes).copyMemory(from: bytes, byteCount: name.count)
      }
      if let bytes = value.baseAddress {
        (field + lengthsBytes + name.count).copyMemory(from: bytes, byteCount: value.count)
      }
      extent.pointee.usedBytes = end
      extent.pointee.count += 1
    }
  }

  /// Takes memory of its own, enough for fields that take `byteCount` with eight bytes for each.
  private mutating func reserve(byteCount: Int) {
    var extent = storage?.header ?? Extent(capacity: 0)
    extent.capacity = max(byteCount, extent.usedBytes)
    let larger = Storage.make(extent)
    larger.withUnsafeMutablePointerToElements { larger in
      withMemory { memory in
        if let bytes = memory.baseAddress {
          UnsafeMutableRawPointer(larger).copyMemory(from: bytes, byteCount: memory.count)
        }
      }
    }
    storage = larger
  }

  /// Gives back what adding one by one has taken too much.
  package mutating func trim() {
    if let storage, storage.header.capacity > storage.header.usedBytes + Self.spareBytesMax {
      reserve(byteCount: storage.header.usedBytes)
    }
  }

  /// Adds an ASCII field. A name or value that gRPC does not allow is a fault of the caller.
  package mutating func append(_ name: String, _ value: String) {
    precondition(Metadata.isName(name) && !name.hasSuffix("-bin"), "bad metadata name \(name)")
    var (nameText, value) = (name, value)
    value.withUTF8 { value in
      precondition(Metadata.isText(value), "bad value of \(name)")
      nameText.withUTF8 { add($0, value) }
    }
  }

  /// As `append`, without a look at either: for what is allowed by its type.
  package mutating func append(checked name: StaticString, _ value: UnsafeBufferPointer<UInt8>) {
    add(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value)
  }

  package mutating func append(_ name: String, bytes: [UInt8]) {
    precondition(Metadata.isName(name) && name.hasSuffix("-bin"), "bad metadata name \(name)")
    var name = name
    name.withUTF8 { name in bytes.withUnsafeBufferPointer { add(name, $0) } }
    storage?.header.hasBytes = true
  }

  /// The first text value of that name.
  package subscript(_ name: String) -> String? {
    var text: String?
    withValue(of: name) {
      if !name.hasSuffix("-bin") { text = String(decoding: $0, as: UTF8.self) }
    }
    return text
  }

  package func bytes(_ name: String) -> [UInt8]? {
    var bytes: [UInt8]?
    withValue(of: name) { if name.hasSuffix("-bin") { bytes = Array($0) } }
    return bytes
  }

  /// Gives the first value of that name to `body`, if there is one, as `readAll` does.
  package func withValue(of name: String, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    var name = name
    name.withUTF8 { wanted in
      withMemory { memory in
        var reader = Reader(memory)
        while let (name, value) = reader.next() {
          guard name.count == wanted.count, let start = name.baseAddress,
            let other = wanted.baseAddress, memcmp(start, other, name.count) == 0
          else { continue }
          return body(value)
        }
      }
    }
  }

  /// Takes a field off the wire. Binary values may be padded or not, and several may be joined by
  /// commas. False for one that cannot be decoded, or is past `joinedBytesMax`, which the caller rejects.
  package mutating func appendReceived(
    name: UnsafeBufferPointer<UInt8>, value: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    guard Metadata.isBinary(name) else {
      // What is passed on must be what may be sent.
      guard Metadata.isText(value) else { return false }
      if storage == nil { reserve(byteCount: Metadata.receivedCapacityMin) }
      add(name, value)
      return true
    }
    for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard byteCount < Metadata.joinedBytesMax,
        let bytes = Base64.decode(part.drop { $0 == 0x20 })
      else { return false }
      bytes.withUnsafeBufferPointer { add(name, $0) }
      storage?.header.hasBytes = true
    }
    return true
  }

  package mutating func appendReceived(name: String, value: String) -> Bool {
    var (name, value) = (name, value)
    return name.withUTF8 { name in
      value.withUTF8 { appendReceived(name: name, value: $0) }
    }
  }

  private static func isBinary(_ name: UnsafeBufferPointer<UInt8>) -> Bool {
    name.last == UInt8(ascii: "n") && name.suffix(4).elementsEqual("-bin".utf8)
  }

  /// Lower-case letters, digits, `_`, `-`, `.`; not the reserved `grpc-` prefix.
  private static func isName(_ name: String) -> Bool {
    if name.isEmpty || name.hasPrefix("grpc-") { return false }
    // On the bytes where they lie: a view of a text takes ten times as long.
    var name = name
    return name.withUTF8 { name in
      name.allSatisfy {
        switch $0 {
        case 0x61...0x7A, 0x30...0x39, 0x5F, 0x2D, 0x2E: true
        default: false
        }
      }
    }
  }

  /// Eight bytes at once: none that is over 0x7F, or gets there when 1 is added or 0x20 taken away.
  private static func isText(_ value: UnsafeBufferPointer<UInt8>) -> Bool {
    let bytes = UnsafeRawBufferPointer(value)
    let ones: UInt64 = 0x0101_0101_0101_0101
    var index = 0
    while index + 8 <= bytes.count {
      let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      if (word | (word &- 0x20 * ones) | (word &+ ones)) & (0x80 * ones) != 0 { return false }
      index += 8
    }
    return value[index...].allSatisfy { (0x20...0x7E).contains($0) }
  }
}

/// Standard base64, emitted without padding as gRPC asks.
package enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count * 4 + 2) / 3)
    var index = 0
    while index < bytes.count {
      let left = bytes.count - index
      let word =
        UInt32(bytes[index]) << 16 | (left > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
        | (left > 2 ? UInt32(bytes[index + 2]) : 0)
      for part in 0..<min(4, left + 1) {
        text.append(alphabet[Int(word >> (18 - 6 * UInt32(part)) & 63)])
      }
      index += 3
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Nil for characters outside the alphabet, a length that cannot be, or wrong padding.
  package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    var word: UInt32 = 0
    var digits = 0
    var padding = 0
    for character in text {
      if character == UInt8(ascii: "=") {
        padding += 1
        continue
      }
      guard padding == 0, let value = value(of: character) else { return nil }
      word = word << 6 | value
      digits += 1
      if digits % 4 == 0 {
        bytes.append(UInt8(word >> 16 & 255))
        bytes.append(UInt8(word >> 8 & 255))
        bytes.append(UInt8(word & 255))
        word = 0
      }
    }
    let rest = digits % 4
    if rest == 1 || (padding > 0 && (padding > 2 || (rest + padding) != 4)) { return nil }
    if rest == 2 { bytes.append(UInt8(word >> 4 & 255)) }
    if rest == 3 {
      bytes.append(UInt8(word >> 10 & 255))
      bytes.append(UInt8(word >> 2 & 255))
    }
    return bytes
  }

  private static func value(of character: UInt8) -> UInt32? {
    switch character {
    case 0x41...0x5A: UInt32(character - 0x41)
    case 0x61...0x7A: UInt32(character - 0x61 + 26)
    case 0x30...0x39: UInt32(character - 0x30 + 52)
    case 0x2B: 62
    case 0x2F: 63
    default: nil
    }
  }
}
