package import Contracts
import Protobuf
package import RPCCore

/// What is wrong with one field of a request.
package struct FieldViolation: Error, Sendable, Equatable {
  /// Bytes of each text: keys in a path come from the peer, and errors travel in bounded headers.
  package static let textBytesMax = 512

  /// The field's path as the contract writes it, such as `credentials[2].name`.
  package let field: String
  var textBytes: Int { field.utf8.count + description.utf8.count }
  /// What is wrong with it and what would do. Never the value where it may be a secret.
  package let description: String

  package init(_ field: String, _ description: String) {
    self.field = Self.shortened(field)
    self.description = Self.shortened(description)
  }

  private static func shortened(_ text: String) -> String {
    if text.utf8.count <= textBytesMax { return text }
    return String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self) + "…"
  }
}

/// Errors with details of google.rpc, as AIP-193 has them: exactly one ErrorInfo each, whose reason and
/// metadata programs can rely on; the message is for people.
extension RPCError {
  /// The domain of every ErrorInfo of the platform.
  package static let errorDomain = "storeplane"
  /// Violations told in one error; more are no help, and errors travel in bounded headers.
  package static let fieldViolationsMax = 16
  /// Bytes of their texts, at most; the first is told whatever it has.
  package static let fieldViolationsBytesMax = 2 * 1024

  /// - Parameters:
  ///   - reason: UPPER_SNAKE_CASE, unique in the platform and stable.
  ///   - details: what stands beside the ErrorInfo.
  package init(
    _ code: StatusCode, reason: String, _ message: String, metadata: [String: String] = [:],
    details: [GoogleProtobuf.AnyMessage] = []
  ) {
    let info = GoogleRPC.ErrorInfo(
      reason: reason, domain: RPCError.errorDomain, metadata: metadata)
    let status = GoogleRPC.Status(
      code: Int32(code.rawValue), message: message,
      details: [GoogleProtobuf.AnyMessage(packing: info)] + details)
    self.init(code, message, details: status.serialized())
  }

  /// INVALID_ARGUMENT: this field of the request is not as it must be.
  package static func invalidArgument(field: String, description: String) -> RPCError {
    invalidArgument([FieldViolation(field, description)])
  }

  /// INVALID_ARGUMENT: these fields of the request are not as they must be.
  package static func invalidArgument(_ violations: [FieldViolation]) -> RPCError {
    var told = violations.prefix(fieldViolationsMax)
    // Details that are too large would be left out as a whole.
    while told.count > 1, told.reduce(0, { $0 + $1.textBytes }) > fieldViolationsBytesMax {
      told = told.dropLast()
    }
    let request = GoogleRPC.BadRequest(
      fieldViolations: told.map {
        GoogleRPC.BadRequest.FieldViolation(field: $0.field, description: $0.description)
      })
    return RPCError(
      .invalidArgument, reason: "INVALID_FIELD",
      told.map { "\($0.field): \($0.description)" }.joined(separator: "; "),
      details: [GoogleProtobuf.AnyMessage(packing: request)])
  }

  /// NOT_FOUND, the same for a resource of another tenant as for one that is not there.
  ///
  /// - Parameters:
  ///   - type: such as `store`.
  ///   - name: as the request named it.
  package static func notFound(_ type: String, _ name: String) -> RPCError {
    about(type, name, .notFound, reason: "NOT_FOUND", "\(type) '\(name)' does not exist")
  }

  /// ALREADY_EXISTS.
  package static func alreadyExists(_ type: String, _ name: String) -> RPCError {
    about(type, name, .alreadyExists, reason: "ALREADY_EXISTS", "\(type) '\(name)' exists already")
  }

  /// An error about one resource.
  package static func about(
    _ type: String, _ name: String, _ code: StatusCode, reason: String, _ message: String,
    metadata: [String: String] = [:]
  ) -> RPCError {
    let resource = GoogleRPC.ResourceInfo(resourceType: type, resourceName: name)
    return RPCError(
      code, reason: reason, message, metadata: metadata,
      details: [GoogleProtobuf.AnyMessage(packing: resource)])
  }

  /// RESOURCE_EXHAUSTED: a limit of the service, by its name, and what would help.
  package static func limitReached(_ limit: String, _ message: String) -> RPCError {
    RPCError(
      .resourceExhausted, reason: "LIMIT_REACHED", message, metadata: ["limit": limit])
  }

  // MARK: Reading them

  /// The details as they were sent; nil where there are none or they cannot be read.
  package var status: GoogleRPC.Status? {
    details.isEmpty ? nil : try? GoogleRPC.Status(serialized: details)
  }

  package var errorInfo: GoogleRPC.ErrorInfo? { detail(GoogleRPC.ErrorInfo.self) }

  package var fieldViolations: [FieldViolation] {
    detail(GoogleRPC.BadRequest.self)?.fieldViolations.map {
      FieldViolation($0.field, $0.description)
    } ?? []
  }

  private func detail<Message: ProtobufMessage>(_ type: Message.Type) -> Message? {
    for detail in status?.details ?? [] where detail.holds(type) {
      return try? detail.unpacked(as: type)
    }
    return nil
  }
}
