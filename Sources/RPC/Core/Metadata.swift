/// The custom fields of a call, in the order they were sent, duplicates included.
///
/// Names are lower case. Those that end in `-bin` carry bytes, which travel as base64.
package struct Metadata: Sendable, Equatable {
  package enum Value: Sendable, Equatable {
    case text(String)
    case bytes([UInt8])
  }

  package private(set) var entries: [(name: String, value: Value)] = []

  package init() {}

  package var isEmpty: Bool { entries.isEmpty }

  package static func == (left: Metadata, right: Metadata) -> Bool {
    left.entries.elementsEqual(right.entries) { $0.name == $1.name && $0.value == $1.value }
  }

  /// Adds an ASCII field. A name or value that gRPC does not allow is a fault of the caller.
  package mutating func append(_ name: String, _ value: String) {
    precondition(Metadata.isName(name) && !name.hasSuffix("-bin"), "bad metadata name \(name)")
    precondition(Metadata.isText(value), "bad value of \(name)")
    entries.append((name, .text(value)))
  }

  package mutating func append(_ name: String, bytes: [UInt8]) {
    precondition(Metadata.isName(name) && name.hasSuffix("-bin"), "bad metadata name \(name)")
    entries.append((name, .bytes(bytes)))
  }

  /// The first text value of that name.
  package subscript(_ name: String) -> String? {
    for entry in entries where entry.name == name {
      if case .text(let text) = entry.value { return text }
    }
    return nil
  }

  package func bytes(_ name: String) -> [UInt8]? {
    for entry in entries where entry.name == name {
      if case .bytes(let bytes) = entry.value { return bytes }
    }
    return nil
  }

  /// Takes a field off the wire. Binary values may be padded or not, and several may be joined by
  /// commas. False for one that cannot be decoded, which the caller rejects.
  package mutating func appendReceived(name: String, value: String) -> Bool {
    // A metadata field rarely comes alone.
    if entries.isEmpty { entries.reserveCapacity(4) }
    guard name.utf8.last == UInt8(ascii: "n"), name.hasSuffix("-bin") else {
      entries.append((name, .text(value)))
      return true
    }
    for part in value.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let trimmed = part.drop { $0 == 0x20 }
      guard let bytes = Base64.decode(trimmed) else { return false }
      entries.append((name, .bytes(bytes)))
    }
    return true
  }

  /// As it goes onto the wire.
  package static func wireValue(_ value: Value) -> String {
    switch value {
    case .text(let text): text
    case .bytes(let bytes): Base64.encode(bytes)
    }
  }

  /// Lower-case letters, digits, `_`, `-`, `.`; not the reserved `grpc-` prefix.
  private static func isName(_ name: String) -> Bool {
    if name.isEmpty || name.hasPrefix("grpc-") { return false }
    return allSatisfy(name) {
      switch $0 {
      case 0x61...0x7A, 0x30...0x39, 0x5F, 0x2D, 0x2E: true
      default: false
      }
    }
  }

  private static func isText(_ value: String) -> Bool {
    allSatisfy(value) { (0x20...0x7E).contains($0) }
  }

  /// On the bytes where they lie: a view of a text takes ten times as long.
  private static func allSatisfy(_ text: String, _ isAllowed: (UInt8) -> Bool) -> Bool {
    var text = text
    return text.withUTF8 { $0.allSatisfy(isAllowed) }
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
