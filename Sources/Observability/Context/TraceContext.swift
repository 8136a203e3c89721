/// A request's place in a distributed trace, after W3C Trace Context (Recommendation of 23 November
/// 2021): the `traceparent` and `tracestate` headers.
package struct TraceContext: Sendable, Hashable {
  /// 16 bytes; not all zero.
  package let traceID: TraceID
  /// 8 bytes, the caller's span; not zero.
  package let parentID: UInt64
  /// The caller may have recorded the trace.
  package let isSampled: Bool
  /// Vendors' entries, handed on as they came; empty when there are none or they were not valid.
  package let state: TraceState

  package struct TraceID: Sendable, Hashable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    package init?(high: UInt64, low: UInt64) {
      if high == 0 && low == 0 { return nil }
      self.high = high
      self.low = low
    }

    /// 32 lowercase hex digits.
    package var description: String { Hex.text(high) + Hex.text(low) }
  }

  package init?(
    traceID: TraceID, parentID: UInt64, isSampled: Bool, state: TraceState = .empty
  ) {
    if parentID == 0 { return nil }
    self.traceID = traceID
    self.parentID = parentID
    self.isSampled = isSampled
    self.state = state
  }

  /// The start of a new trace.
  package static func root(
    isSampled: Bool, using generator: inout some RandomNumberGenerator
  ) -> TraceContext {
    while true {
      if let traceID = TraceID(high: generator.next(), low: generator.next()),
        let trace = TraceContext(
          traceID: traceID, parentID: generator.next(), isSampled: isSampled)
      {
        return trace
      }
    }
  }

  /// The same trace with a span of our own as the parent: what is sent with an outgoing call.
  package func child(using generator: inout some RandomNumberGenerator) -> TraceContext {
    while true {
      if let trace = TraceContext(
        traceID: traceID, parentID: generator.next(), isSampled: isSampled, state: state)
      {
        return trace
      }
    }
  }

  /// `traceparent` as received. nil when it is not exactly as section 3.2 says: the receiver then
  /// starts a new trace, and the `tracestate` is not looked at.
  ///
  /// A version above 00 is read as far as 00 goes, and goes on as 00.
  /// - Parameter tracestate: the header, several joined by commas in their order.
  package init?(traceparent: UnsafeBufferPointer<UInt8>, tracestate: String? = nil) {
    guard let (traceID, parentID, flags) = Self.parse(traceparent) else { return nil }
    let state = tracestate.flatMap { TraceState($0) } ?? .empty
    self.init(traceID: traceID, parentID: parentID, isSampled: flags & 1 == 1, state: state)
  }

  package init?(traceparent: String, tracestate: String? = nil) {
    var text = traceparent
    guard let trace = text.withUTF8({ TraceContext(traceparent: $0, tracestate: tracestate) })
    else { return nil }
    self = trace
  }

  private static func parse(
    _ bytes: UnsafeBufferPointer<UInt8>
  ) -> (traceID: TraceID, parentID: UInt64, flags: UInt64)? {
    let dash = UInt8(ascii: "-")
    guard bytes.count >= versionZeroLength, bytes.count <= traceparentBytesMaximum,
      let version = Hex.value(bytes[0..<2]), version != 0xff,
      let high = Hex.value16(bytes, at: 3), let low = Hex.value16(bytes, at: 19),
      let traceID = TraceID(high: high, low: low),
      let parentID = Hex.value16(bytes, at: 36), let flags = Hex.value(bytes[53..<55]),
      bytes[2] == dash, bytes[35] == dash, bytes[52] == dash
    else { return nil }
    if bytes.count > versionZeroLength {
      guard version > 0, bytes[versionZeroLength] == dash else { return nil }
    }
    return (traceID, parentID, flags)
  }

  /// The header to send: version 00, 55 characters.
  package var traceparent: String {
    var text = ""
    withTraceparent { text = String(decoding: $0, as: UTF8.self) }
    return text
  }

  /// Gives the header to `body` without making text of it: every call that is made sends it.
  package func withTraceparent(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.versionZeroLength) { text in
      let dash = UInt8(ascii: "-")
      text.initialize(repeating: UInt8(ascii: "0"))
      (text[2], text[35], text[52]) = (dash, dash, dash)
      Hex.write(traceID.high, into: text, at: 3)
      Hex.write(traceID.low, into: text, at: 19)
      Hex.write(parentID, into: text, at: 36)
      if isSampled { text[54] = UInt8(ascii: "1") }
      body(UnsafeBufferPointer(text))
    }
  }

  private static let versionZeroLength = 55
  /// What a later version may add is not read, but it is not read without end either.
  package static let traceparentBytesMaximum = 256
}

/// Lowercase hex only: section 3.2 forbids capitals.
enum Hex {
  static func value(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
    var value: UInt64 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - 48)
      case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - 87)
      default: return nil
      }
    }
    return value
  }

  /// The value of the 16 digits from `start` on.
  static func value16(_ bytes: UnsafeBufferPointer<UInt8>, at start: Int) -> UInt64? {
    let bytes = UnsafeRawBufferPointer(bytes)
    guard let high = value8(bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self)),
      let low = value8(bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt64.self))
    else { return nil }
    return high << 32 | low
  }

  /// The value of eight digits at once, a byte each, the first lowest.
  private static func value8(_ digits: UInt64) -> UInt64? {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let lowHalves: UInt64 = 0x0F0F_0F0F_0F0F_0F0F
    // Bit 6 tells letters from figures.
    let isLetter = digits >> 6 & ones
    let values = (digits & lowHalves) &+ isLetter &* 9
    // What writes as what was read is what it says.
    let isOverNine = (values &+ 6 * ones) >> 4 & ones
    guard values & ~lowHalves == 0, values &+ 0x30 * ones &+ isOverNine &* 39 == digits else {
      return nil
    }
    var value = values.byteSwapped
    value = (value | value >> 4) & 0x00FF_00FF_00FF_00FF
    value = (value | value >> 8) & 0x0000_FFFF_0000_FFFF
    return (value | value >> 16) & 0xFFFF_FFFF
  }

  static func digit(_ nibble: UInt8) -> UInt8 {
    nibble < 10 ? nibble + 48 : nibble + 87
  }

  /// 16 digits.
  static func text(_ value: UInt64) -> String {
    String(unsafeUninitializedCapacity: 16) { text in
      write(value, into: text, at: 0)
      return 16
    }
  }

  /// Writes 16 digits from `start` on.
  static func write(_ value: UInt64, into text: UnsafeMutableBufferPointer<UInt8>, at start: Int) {
    let text = UnsafeMutableRawBufferPointer(text)
    let (high, low) = (digits(value >> 32), digits(value & 0xFFFF_FFFF))
    text.storeBytes(of: high, toByteOffset: start, as: UInt64.self)
    text.storeBytes(of: low, toByteOffset: start + 8, as: UInt64.self)
  }

  /// The eight digits of a value of 32 bits, a byte each, the first lowest.
  private static func digits(_ value: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    var values = (value | value << 16) & 0x0000_FFFF_0000_FFFF
    values = (values | values << 8) & 0x00FF_00FF_00FF_00FF
    values = (values | values << 4) & 0x0F0F_0F0F_0F0F_0F0F
    let isOverNine = (values &+ 6 * ones) >> 4 & ones
    return (values &+ 0x30 * ones &+ isOverNine &* 39).byteSwapped
  }
}
