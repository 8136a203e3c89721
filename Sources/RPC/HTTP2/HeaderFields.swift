import CNghttp2

/// Header fields to be sent. Names are lower case.
package struct HeaderFields {
  private struct Span {
    let name: Range<Int>
    let value: Range<Int>
    let flags: UInt8
  }

  private var bytes: [UInt8] = []
  private var spans: [Span] = []

  package init() {}

  package var isEmpty: Bool { spans.isEmpty }

  /// `isSensitive` keeps the value out of HPACK's tables (tokens, cookies).
  package mutating func append(_ name: String, _ value: String, isSensitive: Bool = false) {
    let start = bytes.count
    bytes.append(contentsOf: name.utf8)
    let middle = bytes.count
    bytes.append(contentsOf: value.utf8)
    let flags = isSensitive ? UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue) : 0
    spans.append(Span(name: start..<middle, value: middle..<bytes.count, flags: flags))
  }

  func withNameValues<R>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
    bytes.withUnsafeBufferPointer { buffer in
      // nghttp2 copies what it is given here; it only declares the pointers as mutable.
      let base = UnsafeMutablePointer(mutating: buffer.baseAddress)
      return withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: spans.count) { values in
        for (index, span) in spans.enumerated() {
          values.initializeElement(
            at: index,
            to: nghttp2_nv(
              name: base.map { $0 + span.name.lowerBound },
              value: base.map { $0 + span.value.lowerBound }, namelen: span.name.count,
              valuelen: span.value.count, flags: span.flags))
        }
        return body(values.baseAddress, spans.count)
      }
    }
  }
}

/// Header fields made once for the life of the process, which nghttp2 does not copy.
package struct ConstantHeaderFields: @unchecked Sendable {
  fileprivate let values: UnsafeBufferPointer<nghttp2_nv>

  package init(_ fields: [(String, String)]) {
    let values = UnsafeMutableBufferPointer<nghttp2_nv>.allocate(capacity: fields.count)
    let flags = UInt8(
      NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
    for (index, (name, value)) in fields.enumerated() {
      let (nameBytes, valueBytes) = (Self.immortal(name), Self.immortal(value))
      values.initializeElement(
        at: index,
        to: nghttp2_nv(
          name: nameBytes.baseAddress, value: valueBytes.baseAddress, namelen: nameBytes.count,
          valuelen: valueBytes.count, flags: flags))
    }
    self.values = UnsafeBufferPointer(values)
  }

  func withNameValues<R>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
    body(values.baseAddress, values.count)
  }

  private static func immortal(_ text: String) -> UnsafeMutableBufferPointer<UInt8> {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(text.utf8.count, 1))
    _ = buffer.initialize(from: text.utf8)
    return UnsafeMutableBufferPointer(rebasing: buffer[..<text.utf8.count])
  }
}
