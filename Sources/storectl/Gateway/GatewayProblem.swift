import JSON

/// An error that the gateway told: `application/problem+json`.
struct GatewayProblem: Error, Equatable, Sendable {
  let status: Int
  /// gRPC's name of the status, such as `NOT_FOUND`; empty where the answer is not the gateway's.
  let code: String
  let reason: String
  let detail: String
  let errors: [FieldError]
  let requestID: String
  let retryAfterSeconds: Int?

  struct FieldError: Equatable, Sendable {
    let field: String
    let description: String
  }

  init(_ document: JSON?, status: Int, headers: [String: String] = [:]) {
    let object = document?.object
    let told = object?["status"]?.int64.flatMap { Int(exactly: $0) }
    self.status = told ?? status
    code = object?["code"]?.string ?? ""
    reason = object?["reason"]?.string ?? ""
    detail =
      object?["detail"]?.string ?? object?["title"]?.string
      ?? "the answer is HTTP \(status) and no document of the gateway: is that its address?"
    errors = (object?["errors"]?.array ?? []).map {
      FieldError(
        field: $0.object?["field"]?.string ?? "",
        description: $0.object?["description"]?.string ?? "")
    }
    requestID = object?["instance"]?.string ?? headers["x-request-id"] ?? ""
    retryAfterSeconds = headers["retry-after"].flatMap { Int($0) }
  }

  /// Whether the same may work a moment later.
  var isPassing: Bool {
    switch code {
    case "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED": true
    case "": status >= 500
    default: false
    }
  }

  var exitStatus: StorectlExit {
    switch code {
    case "FAILED_PRECONDITION": return .conflict
    case "UNAVAILABLE": return .unavailable
    default: break
    }
    switch status {
    case 401, 403: return .denied
    case 404: return .notFound
    case 409: return .conflict
    case 400, 413, 414, 415, 422: return .invalid
    case 429, 502, 503: return .unavailable
    case 504: return .timedOut
    default: return .failed
    }
  }

  var failure: CommandFailure {
    var lines = [detail]
    // A single error is mostly the detail once more.
    for error in errors where !detail.contains(error.description) || !detail.contains(error.field) {
      lines.append("  \(error.field): \(error.description)")
    }
    if status == 401 { lines.append("Sign in: storectl login") }
    if !requestID.isEmpty { lines.append("request \(requestID)") }
    return CommandFailure(exitStatus, lines.joined(separator: "\n"))
  }
}
