import Glibc

/// A value sent with a statement, in place of `$1`, `$2`, ...
///
/// `text` has the type that the statement gives it (a column of type jsonb, an enumeration, ...);
/// the others have the type they are named by. Arrays are for `unnest($1)`, which inserts or updates
/// many rows with one statement.
package enum PostgresParameter: Sendable {
  case text(String?)
  case int8(Int64?)
  case float8(Double?)
  case bool(Bool?)
  case bytea([UInt8]?)
  case uuid(PostgresUUID?)
  case timestamp(PostgresTimestamp?)
  /// JSON as text.
  case jsonb(String?)
  case textArray([String?])
  case int8Array([Int64?])
  case boolArray([Bool?])
  case byteaArray([[UInt8]?])
  case uuidArray([PostgresUUID?])
  case timestampArray([PostgresTimestamp?])
  case jsonbArray([String?])

  /// Parameters of one statement: the protocol counts them with 16 bits.
  static let countMax = 65_535
  /// Bytes of the parameters of one statement.
  static let bytesMax = 64 * 1024 * 1024

  var type: PostgresType {
    switch self {
    case .text: .inferred
    case .int8: .int8
    case .float8: .float8
    case .bool: .bool
    case .bytea: .bytea
    case .uuid: .uuid
    case .timestamp: .timestamptz
    case .jsonb: .jsonb
    case .textArray: .textArray
    case .int8Array: .int8Array
    case .boolArray: .boolArray
    case .byteaArray: .byteaArray
    case .uuidArray: .uuidArray
    case .timestampArray: .timestamptzArray
    case .jsonbArray: .jsonbArray
    }
  }

  /// Throws where a statement could not be sent with `parameters`.
  static func check(_ parameters: [PostgresParameter]) throws(PostgresError) {
    if parameters.count > countMax {
      throw .limitReached(
        "PostgresParameter.countMax",
        "a statement has \(parameters.count) parameters, the protocol allows \(countMax): "
          + "pass arrays and unnest them")
    }
    var bytes = 0
    for (index, parameter) in parameters.enumerated() {
      if parameter.hasNUL {
        throw PostgresError(
          .badValue,
          "parameter $\(index + 1): text with a NUL character, which PostgreSQL cannot store; "
            + "reject it, or send it as bytea")
      }
      if !parameter.isInRange {
        throw PostgresError(
          .badValue,
          "parameter $\(index + 1): a timestamp before 4713 BC, the first that PostgreSQL holds")
      }
      bytes += parameter.byteCount
    }
    if bytes > bytesMax {
      throw .limitReached(
        "PostgresParameter.bytesMax",
        "the parameters of a statement have \(bytes) bytes, more than \(bytesMax): "
          + "send them in several statements")
    }
  }

  private var hasNUL: Bool {
    switch self {
    case .text(let text?), .jsonb(let text?): text.hasNUL
    case .textArray(let texts), .jsonbArray(let texts): texts.contains { $0?.hasNUL ?? false }
    default: false
    }
  }

  private var isInRange: Bool {
    switch self {
    case .timestamp(let value?): value.isInRange
    case .timestampArray(let values): values.allSatisfy { $0?.isInRange ?? true }
    default: true
    }
  }

  private var byteCount: Int {
    switch self {
    case .text(let text?), .jsonb(let text?): text.utf8.count
    case .bytea(let bytes?): bytes.count
    case .textArray(let texts), .jsonbArray(let texts):
      texts.reduce(0) { $0 + 4 + ($1?.utf8.count ?? 0) }
    case .byteaArray(let values): values.reduce(0) { $0 + 4 + ($1?.count ?? 0) }
    case .int8Array(let values): values.count * 12
    case .boolArray(let values): values.count * 5
    case .uuidArray(let values): values.count * 20
    case .timestampArray(let values): values.count * 12
    default: 8
    }
  }
}

extension String {
  fileprivate var hasNUL: Bool {
    utf8.withContiguousStorageIfAvailable { bytes in
      bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
    } ?? utf8.contains(0)
  }
}

/// Parameters in the form that libpq takes, in buffers that are used again.
struct EncodedParameters: ~Copyable {
  private var types: [UInt32] = []
  private var offsets: [Int] = []
  private var lengths: [Int32] = []
  private var formats: [Int32] = []
  private var bytes: [UInt8] = []
  /// Bytes of the buffer that is kept between statements: a batch of megabytes is not.
  private static let keptBytesMax = 256 * 1024

  init() {}

  mutating func encode(_ parameters: [PostgresParameter]) {
    types.removeAll(keepingCapacity: true)
    offsets.removeAll(keepingCapacity: true)
    lengths.removeAll(keepingCapacity: true)
    formats.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: bytes.capacity <= EncodedParameters.keptBytesMax)
    for parameter in parameters { encode(parameter) }
  }

  private mutating func encode(_ parameter: PostgresParameter) {
    let start = bytes.count
    let isPresent = write(parameter)
    types.append(parameter.type.rawValue)
    offsets.append(isPresent ? start : -1)
    lengths.append(Int32(bytes.count - start))
    if case .text = parameter {
      formats.append(0)
      bytes.append(0)
    } else {
      formats.append(1)
    }
  }

  private mutating func write(_ parameter: PostgresParameter) -> Bool {
    switch parameter {
    case .text(let text?): bytes.append(contentsOf: text.utf8)
    case .int8(let value?): append(value)
    case .float8(let value?): append(value.bitPattern)
    case .bool(let value?): bytes.append(value ? 1 : 0)
    case .bytea(let value?): bytes.append(contentsOf: value)
    case .uuid(let value?): append(value)
    case .timestamp(let value?): append(value)
    case .jsonb(let text?): appendJSON(text)
    case .textArray(let values):
      appendArray(values, of: .text) { $0.bytes.append(contentsOf: $1.utf8) }
    case .int8Array(let values): appendArray(values, of: .int8) { $0.append($1) }
    case .boolArray(let values): appendArray(values, of: .bool) { $0.bytes.append($1 ? 1 : 0) }
    case .byteaArray(let values):
      appendArray(values, of: .bytea) { $0.bytes.append(contentsOf: $1) }
    case .uuidArray(let values): appendArray(values, of: .uuid) { $0.append($1) }
    case .timestampArray(let values): appendArray(values, of: .timestamptz) { $0.append($1) }
    case .jsonbArray(let values): appendArray(values, of: .jsonb) { $0.appendJSON($1) }
    default: return false
    }
    return true
  }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  private mutating func append(_ value: PostgresUUID) {
    append(value.high)
    append(value.low)
  }

  private mutating func append(_ value: PostgresTimestamp) {
    append(value.microseconds - PostgresTimestamp.serverEpochMicroseconds)
  }

  private mutating func appendJSON(_ text: String) {
    bytes.append(1)
    bytes.append(contentsOf: text.utf8)
  }

  /// array_recv: dimensions, whether there are nulls, the elements' type, length and lower bound of
  /// the one dimension, then each element with its length before it.
  private mutating func appendArray<T>(
    _ values: [T?], of type: PostgresType, _ write: (inout EncodedParameters, T) -> Void
  ) {
    append(Int32(values.isEmpty ? 0 : 1))
    append(Int32(values.contains { $0 == nil } ? 1 : 0))
    append(type.rawValue)
    if values.isEmpty { return }
    append(Int32(values.count))
    append(Int32(1))
    for value in values {
      guard let value else {
        append(Int32(-1))
        continue
      }
      let start = bytes.count
      append(Int32(0))
      write(&self, value)
      let length = Int32(bytes.count - start - 4).bigEndian
      withUnsafeBytes(of: length) { source in
        for index in 0..<4 { bytes[start + index] = source[index] }
      }
    }
  }

  borrowing func withPointers<R>(
    _ body: (
      _ types: UnsafeBufferPointer<UInt32>,
      _ values: UnsafeBufferPointer<UnsafePointer<CChar>?>,
      _ lengths: UnsafeBufferPointer<Int32>,
      _ formats: UnsafeBufferPointer<Int32>
    ) -> R
  ) -> R {
    withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: offsets.count + 1) {
      pointers in
      bytes.withUnsafeBytes { bytes in
        // An empty value is present: it needs an address, though no byte is read from it.
        let base = bytes.baseAddress ?? UnsafeRawPointer(pointers.baseAddress)
        for (index, offset) in offsets.enumerated() {
          pointers[index] =
            offset < 0 ? nil : base.map { ($0 + offset).assumingMemoryBound(to: CChar.self) }
        }
        return types.withUnsafeBufferPointer { types in
          lengths.withUnsafeBufferPointer { lengths in
            formats.withUnsafeBufferPointer { formats in
              body(types, UnsafeBufferPointer(pointers), lengths, formats)
            }
          }
        }
      }
    }
  }
}
