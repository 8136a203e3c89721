import CNghttp2

/// Header fields to be sent. Names are lower case.
package struct HeaderFields {
  private enum Text {
    /// Part of `bytes`, which nghttp2 copies.
    case part(Range<Int>)
    /// There for the life of the process.
    case constant(UnsafeBufferPointer<UInt8>)

    func buffer(in bytes: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
      switch self {
      case .part(let range): UnsafeBufferPointer(rebasing: bytes[range])
      case .constant(let buffer): buffer
      }
    }
  }

  private struct Field {
    let name: Text
    let value: Text
    let isIndexed: Bool
    /// Where `bytes` ended before it.
    let start: Int

    func nameValue(in bytes: UnsafeBufferPointer<UInt8>) -> nghttp2_nv {
      var flags = isIndexed ? NGHTTP2_NV_FLAG_NONE.rawValue : NGHTTP2_NV_FLAG_NO_INDEX.rawValue
      if case .constant = name { flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue }
      if case .constant = value { flags |= NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue }
      let (name, value) = (name.buffer(in: bytes), value.buffer(in: bytes))
      // nghttp2 only declares the pointers as mutable.
      return nghttp2_nv(
        name: UnsafeMutablePointer(mutating: name.baseAddress),
        value: UnsafeMutablePointer(mutating: value.baseAddress), namelen: name.count,
        valuelen: value.count, flags: UInt8(flags))
    }
  }

  private var bytes: [UInt8] = []
  private var fields: [Field] = []

  package init() {}

  package var isEmpty: Bool { fields.isEmpty }
  package var count: Int { fields.count }

  /// What is not `isIndexed` stays out of HPACK's tables: secrets, and values that differ each time and
  /// would push out all others.
  package mutating func append(_ name: String, _ value: String, isIndexed: Bool = true) {
    let start = bytes.count
    let name = add(name)
    fields.append(Field(name: name, value: add(value), isIndexed: isIndexed, start: start))
  }

  package mutating func append(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, isIndexed: Bool = true
  ) {
    let start = bytes.count
    bytes.append(contentsOf: name)
    let middle = bytes.count
    bytes.append(contentsOf: value)
    fields.append(
      Field(
        name: .part(start..<middle), value: .part(middle..<bytes.count), isIndexed: isIndexed,
        start: start))
  }

  package mutating func append(_ name: StaticString, _ value: String, isIndexed: Bool = true) {
    let start = bytes.count
    let name = HeaderFields.constant(name)
    fields.append(Field(name: name, value: add(value), isIndexed: isIndexed, start: start))
  }

  package mutating func append(_ name: StaticString, _ value: StaticString) {
    fields.append(
      Field(
        name: HeaderFields.constant(name), value: HeaderFields.constant(value), isIndexed: true,
        start: bytes.count))
  }

  /// Drops all fields after the first `count`, and keeps the room.
  package mutating func removeAll(after count: Int) {
    guard count < fields.count else { return }
    bytes.removeSubrange(fields[count].start...)
    fields.removeSubrange(count...)
  }

  private mutating func add(_ text: String) -> Text {
    let start = bytes.count
    bytes.append(contentsOf: text.utf8)
    return .part(start..<bytes.count)
  }

  private static func constant(_ text: StaticString) -> Text {
    .constant(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  func withNameValues<R>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
    bytes.withUnsafeBufferPointer { bytes in
      withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { values in
        for (index, field) in fields.enumerated() {
          values.initializeElement(at: index, to: field.nameValue(in: bytes))
        }
        return body(values.baseAddress, fields.count)
      }
    }
  }
}

/// Fields of one request behind those that it has in common with others. nghttp2 copies them, and nobody
/// before.
package struct AddedHeaderFields: ~Copyable {
  private let values: UnsafeMutableBufferPointer<nghttp2_nv>
  fileprivate var count: Int

  fileprivate init(to values: UnsafeMutableBufferPointer<nghttp2_nv>, from count: Int) {
    self.values = values
    self.count = count
  }

  /// Both are valid until the request is submitted.
  package mutating func append(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>, isIndexed: Bool = true
  ) {
    append(name, value, isIndexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX)
  }

  package mutating func append(
    _ name: StaticString, _ value: UnsafeBufferPointer<UInt8>, isIndexed: Bool = true
  ) {
    let flag = isIndexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX
    append(
      UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), value,
      nghttp2_nv_flag(flag.rawValue | NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue))
  }

  private mutating func append(
    _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>,
    _ flags: nghttp2_nv_flag
  ) {
    // nghttp2 only declares the pointers as mutable.
    values.initializeElement(
      at: count,
      to: nghttp2_nv(
        name: UnsafeMutablePointer(mutating: name.baseAddress),
        value: UnsafeMutablePointer(mutating: value.baseAddress), namelen: name.count,
        valuelen: value.count, flags: UInt8(flags.rawValue)))
    count += 1
  }
}

/// Header fields made once for many uses, mostly for the life of the process. nghttp2 does not copy them.
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

  package var count: Int { values.count }

  /// To be called when every stream that was sent them is closed.
  package func deallocate() {
    for field in values {
      field.name.deallocate()
      field.value.deallocate()
    }
    values.deallocate()
  }

  func withNameValues<R>(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> R) -> R {
    body(values.baseAddress, values.count)
  }

  /// These fields, and behind them up to `count` that `add` gives.
  @inline(__always)
  func withNameValues<R>(
    and count: Int, _ add: (inout AddedHeaderFields) -> Void,
    _ body: (UnsafePointer<nghttp2_nv>?, Int) -> R
  ) -> R {
    withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: values.count + count) { all in
      _ = all.initialize(from: values)
      var added = AddedHeaderFields(to: all, from: values.count)
      add(&added)
      return body(all.baseAddress, added.count)
    }
  }

  private static func immortal(_ text: String) -> UnsafeMutableBufferPointer<UInt8> {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(text.utf8.count, 1))
    _ = buffer.initialize(from: text.utf8)
    return UnsafeMutableBufferPointer(rebasing: buffer[..<text.utf8.count])
  }
}
