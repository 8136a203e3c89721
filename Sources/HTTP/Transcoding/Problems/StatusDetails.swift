import Descriptors

/// What `google.rpc.Status` says beside code and message. The numbers are those of the fields in
/// `google/rpc/status.proto` and `error_details.proto`.
struct StatusDetails: Equatable {
  struct Violation: Equatable {
    var field = ""
    var description = ""
  }

  /// A response lists no more.
  static let violationsMax = 100
  static let metadataMax = 100

  var violations: [Violation] = []
  var reason = ""
  var domain = ""
  var metadata: [String: String] = [:]
  var retryDelay: SecondsAndNanos?

  /// Details that are damaged or not known are left out: an error must not fail.
  init(_ serialized: [UInt8]) {
    var read = StatusDetails()
    serialized.withUnsafeBytes { bytes in
      // What was read before the damage stands.
      try? read.readStatus(WireReader(bytes))
    }
    self = read
  }

  private init() {}

  private mutating func readStatus(_ input: WireReader) throws(WireError) {
    var reader = input
    while let tag = try reader.tag() {
      if tag.number == 3, tag.wireType == .lengthPrefixed {
        try readAny(reader.message())
      } else {
        try reader.skip(tag.wireType)
      }
    }
  }

  private mutating func readAny(_ input: WireReader) throws(WireError) {
    var reader = input
    var url = ""
    var content: WireReader?
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): url = try reader.text()
      case (2, .lengthPrefixed): content = try reader.message()
      default: try reader.skip(tag.wireType)
      }
    }
    guard let content else { return }
    switch url.split(separator: "/").last {
    case "google.rpc.BadRequest": try readBadRequest(content)
    case "google.rpc.ErrorInfo": try readErrorInfo(content)
    case "google.rpc.RetryInfo": try readRetryInfo(content)
    default: return
    }
  }

  private mutating func readBadRequest(_ input: WireReader) throws(WireError) {
    var reader = input
    while let tag = try reader.tag() {
      guard tag.number == 1, tag.wireType == .lengthPrefixed else {
        try reader.skip(tag.wireType)
        continue
      }
      let (field, description) = try Self.texts(reader.message())
      guard violations.count < Self.violationsMax else { return }
      violations.append(Violation(field: field, description: description))
    }
  }

  private mutating func readErrorInfo(_ input: WireReader) throws(WireError) {
    (reason, domain) = try Self.texts(input)
    var reader = input
    while let tag = try reader.tag() {
      guard tag.number == 3, tag.wireType == .lengthPrefixed else {
        try reader.skip(tag.wireType)
        continue
      }
      let (key, value) = try Self.texts(reader.message())
      if metadata.count < Self.metadataMax { metadata[key] = value }
    }
  }

  private mutating func readRetryInfo(_ input: WireReader) throws(WireError) {
    var reader = input
    while let tag = try reader.tag() {
      guard tag.number == 1, tag.wireType == .lengthPrefixed else {
        try reader.skip(tag.wireType)
        continue
      }
      var duration = try reader.message()
      var delay = SecondsAndNanos(seconds: 0, nanos: 0)
      while let part = try duration.tag() {
        switch (part.number, part.wireType) {
        case (1, .varint): delay.seconds = Int64(bitPattern: try duration.varint())
        case (2, .varint): delay.nanos = Int32(truncatingIfNeeded: try duration.varint())
        default: try duration.skip(part.wireType)
        }
      }
      retryDelay = delay
    }
  }

  /// The fields 1 and 2.
  private static func texts(_ input: WireReader) throws(WireError) -> (String, String) {
    var reader = input
    var (first, second) = ("", "")
    while let tag = try reader.tag() {
      switch (tag.number, tag.wireType) {
      case (1, .lengthPrefixed): first = try reader.text()
      case (2, .lengthPrefixed): second = try reader.text()
      default: try reader.skip(tag.wireType)
      }
    }
    return (first, second)
  }
}
