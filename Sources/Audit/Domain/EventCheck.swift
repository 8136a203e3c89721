import Contracts
import ServiceRuntime

/// What an event must be to be recorded.
struct EventCheck {
  /// What is wrong; empty when nothing is.
  private(set) var violations: [FieldViolation] = []
  /// The details as JSON, where there are any and they are good.
  private(set) var details: String?
  /// Where in the request the event stands.
  private let path: String

  /// - Parameter service: the service that sends it, which speaks for itself alone.
  init(_ event: AuditV1.Event, path: String, from service: String) {
    self.path = path
    if !EventCheck.isUUID(event.id) {
      violate("id", "it must be a UUID, such as 1b4e28ba-2fa1-41d2-883f-0016d3cca427")
    }
    text("tenant", event.tenant, isRequired: true)
    text("store", event.store)
    if event.revision < 0 { violate("revision", "\(event.revision) is negative") }
    text("action", event.action, isRequired: true)
    if event.occurTime?.isValid != true {
      violate("occur_time", "it must be a time in the years 1 to 9999")
    }
    check(event.actor)
    text("previous_state", event.previousState)
    text("new_state", event.newState)
    text("request_id", event.requestID)
    if !event.traceID.isEmpty && !EventCheck.isTraceID(event.traceID) {
      violate("trace_id", "it must be 32 lowercase hexadecimal digits")
    }
    if event.service != service {
      violate("service", "it must be '\(service)', the service that sends it")
    }
    text("operation", event.operation)
    text("store_name", event.storeName)
    check(event.details)
  }

  private mutating func check(_ actor: AuditV1.Actor?) {
    guard let actor else { return violate("actor", "it is required") }
    switch actor.kind {
    case .user, .service, .apiKey: break
    case .unspecified, .unrecognized:
      violate("actor.kind", "it must be KIND_USER, KIND_SERVICE or KIND_API_KEY")
    }
    text("actor.id", actor.id, isRequired: true)
    text("actor.address", actor.address)
  }

  private mutating func check(_ structure: GoogleProtobuf.Struct?) {
    do throws(FieldViolation) {
      details = try structure.map { structure throws(FieldViolation) in
        try AuditV1.Event.json(details: structure, path: "\(path).details")
      }
    } catch {
      violations.append(error)
    }
  }

  private mutating func text(_ field: String, _ text: String, isRequired: Bool = false) {
    let count = text.utf8.count
    if count == 0 && isRequired {
      violate(field, "it is required")
    } else if count > AuditLimits.textBytesMax {
      violate(field, "\(count) bytes; at most \(AuditLimits.textBytesMax) are kept")
    } else if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
      violate(field, "it must not have control characters")
    }
  }

  private mutating func violate(_ field: String, _ description: String) {
    violations.append(FieldViolation("\(path).\(field)", description))
  }

  private static func isUUID(_ text: String) -> Bool {
    let utf8 = Array(text.utf8)
    return utf8.count == 36
      && utf8.enumerated().allSatisfy { index, byte in
        [8, 13, 18, 23].contains(index)
          ? byte == UInt8(ascii: "-") : isLowercaseHex(byte | (byte >= 0x41 ? 0x20 : 0))
      }
  }

  private static func isTraceID(_ text: String) -> Bool {
    text.utf8.count == 32 && text.utf8.allSatisfy(isLowercaseHex)
  }

  private static func isLowercaseHex(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }
}
