/// The canonical gRPC status codes.
package enum StatusCode: Int, Sendable, CaseIterable {
  case ok = 0
  case cancelled = 1
  case unknown = 2
  case invalidArgument = 3
  case deadlineExceeded = 4
  case notFound = 5
  case alreadyExists = 6
  case permissionDenied = 7
  case resourceExhausted = 8
  case failedPrecondition = 9
  case aborted = 10
  case outOfRange = 11
  case unimplemented = 12
  case `internal` = 13
  case unavailable = 14
  case dataLoss = 15
  case unauthenticated = 16

  /// The name in the specification, such as `NOT_FOUND`.
  package var name: String {
    switch self {
    case .ok: "OK"
    case .cancelled: "CANCELLED"
    case .unknown: "UNKNOWN"
    case .invalidArgument: "INVALID_ARGUMENT"
    case .deadlineExceeded: "DEADLINE_EXCEEDED"
    case .notFound: "NOT_FOUND"
    case .alreadyExists: "ALREADY_EXISTS"
    case .permissionDenied: "PERMISSION_DENIED"
    case .resourceExhausted: "RESOURCE_EXHAUSTED"
    case .failedPrecondition: "FAILED_PRECONDITION"
    case .aborted: "ABORTED"
    case .outOfRange: "OUT_OF_RANGE"
    case .unimplemented: "UNIMPLEMENTED"
    case .internal: "INTERNAL"
    case .unavailable: "UNAVAILABLE"
    case .dataLoss: "DATA_LOSS"
    case .unauthenticated: "UNAUTHENTICATED"
    }
  }

  /// The code for a stream that was reset, after the gRPC over HTTP/2 specification.
  package init(http2ErrorCode: UInt32) {
    switch http2ErrorCode {
    case 7, .max: self = .unavailable  // .max: the connection went away
    case 8: self = .cancelled
    case 11: self = .resourceExhausted
    case 12: self = .permissionDenied
    default: self = .internal
    }
  }

  /// The code for a response that carries no `grpc-status`, by its HTTP status.
  package init(httpStatus: Int) {
    switch httpStatus {
    case 400, 431: self = .internal
    case 401: self = .unauthenticated
    case 403: self = .permissionDenied
    case 404: self = .unimplemented
    case 429, 502, 503, 504: self = .unavailable
    default: self = .unknown
    }
  }
}

/// How a call failed: a handler throws it, and the caller catches it.
package struct RPCError: Error, Equatable, Sendable, CustomStringConvertible {
  package var code: StatusCode
  /// What went wrong and what would help, for the caller's eyes. Never a secret, never internals.
  package var message: String
  /// A serialized `google.rpc.Status` with the details, empty where there are none.
  package var details: [UInt8]
  /// The connection was lost under the call, which may have been carried out all the same. Known to
  /// the client alone.
  package var isOutcomeUnknown = false

  package init(_ code: StatusCode, _ message: String, details: [UInt8] = []) {
    self.code = code
    self.message = message
    self.details = details
  }

  package var description: String { "\(code.name): \(message)" }
}
