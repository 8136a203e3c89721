package import HTTP

/// How gRPC's status codes are told in HTTP.
package enum StatusMapping {
  private static let names = [
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
    "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
  ]

  /// The specification's name of a code; that of UNKNOWN for a number that is none.
  package static func name(ofCode code: Int) -> String {
    names.indices.contains(code) ? names[code] : "UNKNOWN"
  }

  /// The HTTP status for a gRPC code, after `google/rpc/code.proto`.
  package static func status(ofCode code: Int) -> HTTPStatus {
    switch code {
    case 0: .ok
    case 1: .clientClosedRequest
    case 3, 9, 11: .badRequest
    case 4: .gatewayTimeout
    case 5: .notFound
    case 6, 10: .conflict
    case 7: .forbidden
    case 8: .tooManyRequests
    case 12: .notImplemented
    case 14: .serviceUnavailable
    case 16: .unauthorized
    default: .internalServerError
    }
  }
}
