package import HTTP
import JSON

/// An error as the client of the REST API sees it: `application/problem+json` (RFC 9457) with, as
/// extensions, `code` (gRPC's name of the status), `reason`, `domain`, `metadata` and `errors`.
package struct Problem: Equatable, Sendable {
  /// A field of the request that is wrong, and why.
  package struct FieldError: Equatable, Sendable {
    package var field: String
    package var description: String

    package init(field: String, description: String) {
      self.field = field
      self.description = description
    }
  }

  package static let contentType = "application/problem+json"

  /// "about:blank" says that the title is all there is to the type.
  package var type = "about:blank"
  package var status: HTTPStatus
  package var title: String
  /// What went wrong this time, for people.
  package var detail: String
  /// The request's id.
  package var instance: String
  /// Such as `INVALID_ARGUMENT`.
  package var code: String
  /// Why, for programs (`google.rpc.ErrorInfo`): such as `STORE_NOT_READY`.
  package var reason = ""
  /// Who gives the reason.
  package var domain = ""
  package var metadata: [String: String] = [:]
  package var errors: [FieldError] = []
  /// For the Retry-After field.
  package var retryAfterSeconds: Int?

  /// A failed call.
  ///
  /// - Parameters:
  ///   - code: the number of the gRPC status.
  ///   - details: a serialized `google.rpc.Status`; may be empty.
  ///   - fieldName: the client's name of a field that a service names; see `Route.clientField`.
  package init(
    code: Int, message: String, details: [UInt8] = [], instance: String,
    fieldName: (String) -> String = { $0 }
  ) {
    status = StatusMapping.status(ofCode: code)
    title = status.reasonPhrase
    detail = message
    self.instance = instance
    self.code = StatusMapping.name(ofCode: code)
    let details = StatusDetails(details)
    (reason, domain, metadata) = (details.reason, details.domain, details.metadata)
    errors = details.violations.map {
      FieldError(field: fieldName($0.field), description: $0.description)
    }
    retryAfterSeconds = details.retryDelay.map(Self.wholeSeconds)
  }

  /// A request that makes no message, or a response that makes no document.
  package init(_ error: TranscodingError, instance: String) {
    guard error.location != .response else {
      // What services send is no business of the client's.
      self.init(
        code: 13, message: "the response cannot be told in JSON", instance: instance)
      return
    }
    self.init(code: 3, message: error.description, instance: instance)
    if !error.field.isEmpty {
      errors = [FieldError(field: error.field, description: error.reason)]
    }
  }

  /// A client that waits for whole seconds must not come too early.
  private static func wholeSeconds(_ delay: SecondsAndNanos) -> Int {
    let seconds = max(0, min(delay.seconds, DurationText.secondsMax))
    return Int(seconds) + (delay.seconds >= 0 && delay.nanos > 0 ? 1 : 0)
  }

  /// The document.
  package func serialized() -> [UInt8] {
    var writer = JSONWriter(reservingBytes: 512)
    writer.openObject()
    for (key, text) in [("type", type), ("title", title)] {
      writer.key(key)
      writer.string(text)
    }
    writer.key("status")
    writer.integer(status.code)
    let texts = [
      ("detail", detail), ("instance", instance), ("code", code), ("reason", reason),
      ("domain", domain),
    ]
    for (key, text) in texts where !text.isEmpty {
      writer.key(key)
      writer.string(text)
    }
    if !metadata.isEmpty {
      writer.key("metadata")
      writer.openObject()
      for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
        writer.key(key)
        writer.string(value)
      }
      writer.closeObject()
    }
    if !errors.isEmpty { write(errors, to: &writer) }
    writer.closeObject()
    return writer.bytes
  }

  private func write(_ errors: [FieldError], to writer: inout JSONWriter) {
    writer.key("errors")
    writer.openArray()
    for error in errors {
      writer.openObject()
      writer.key("field")
      writer.string(error.field)
      writer.key("description")
      writer.string(error.description)
      writer.closeObject()
    }
    writer.closeArray()
  }
}
