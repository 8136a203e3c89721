import HTTP
import JSON

/// Reads the API's Status objects (`kind: Status`) and what comes instead of them.
enum StatusAnswer {
  /// What of a body that is no Status is shown.
  static let shownBytesMax = 256
  /// The most that a Retry-After is taken for.
  static let retryAfterSecondsMax: Int64 = 3600

  /// The error that a response with a status of 400 and above means.
  ///
  /// - Parameter hidesMessage: for requests whose body is secret: a server's message may quote it.
  static func error(
    status: HTTPStatus, headers: HTTPHeaders, body: [UInt8], hidesMessage: Bool
  ) -> KubernetesError {
    let json = try? JSON(parsing: body)
    if let json, json["kind"]?.string == "Status" {
      var error = error(status: json, code: status.code, hidesMessage: hidesMessage)
      error.retryAfter = error.retryAfter ?? retryAfter(headers)
      return error
    }
    let text = String(decoding: body.prefix(shownBytesMax), as: UTF8.self)
    let shown = hidesMessage ? "" : String(text.trimmingWhiteSpace())
    return KubernetesError(
      kind(code: status.code, reason: "", message: shown, causes: []),
      shown.isEmpty ? "the API server answered \(status)" : shown, code: status.code,
      retryAfter: retryAfter(headers))
  }

  /// A Status object on its own, as watches and exec's error channel carry it.
  static func error(
    status json: JSON, code: Int? = nil, hidesMessage: Bool = false
  ) -> KubernetesError {
    let code = code ?? json["code"]?.int64.map { Int(clamping: $0) } ?? 0
    let reason = json["reason"]?.string ?? ""
    let message = json["message"]?.string ?? ""
    let causes = json["details", "causes"]?.array ?? []
    var error = KubernetesError(
      kind(
        code: code, reason: reason, message: message,
        causes: causes.compactMap { $0["reason"]?.string }),
      message.isEmpty ? "the API server answered \(code)" : message, code: code, reason: reason)
    error.fields = causes.compactMap { $0["field"]?.string }
    if hidesMessage, !message.isEmpty {
      let place = error.fields.isEmpty ? "" : " in \(error.fields.joined(separator: ", "))"
      error.message = "the API server refused the object\(place); its message may quote a secret"
    }
    if let seconds = json["details", "retryAfterSeconds"]?.int64, seconds > 0 {
      error.retryAfter = .seconds(min(seconds, retryAfterSecondsMax))
    }
    return error
  }

  private static func kind(
    code: Int, reason: String, message: String, causes: [String]
  ) -> KubernetesError.Kind {
    if causes.contains("NamespaceTerminating") { return .namespaceTerminating }
    if code < 500, let kind = admission(message) { return kind }
    switch reason {
    case "NotFound": return .notFound
    case "AlreadyExists": return .alreadyExists
    case "Conflict": return .conflict
    case "Invalid", "BadRequest": return .invalid
    case "Expired", "Gone": return .expired
    case "Timeout", "ServerTimeout": return .timeout
    case "TooManyRequests": return .throttled
    default: return kind(code: code)
    }
  }

  private static func admission(_ message: String) -> KubernetesError.Kind? {
    // A quota that was just made: its controller has not counted yet.
    if message.contains("status unknown for quota") { return .throttled }
    if message.contains("exceeded quota") || message.contains("failed quota") {
      return .quotaExceeded
    }
    let isWebhook = message.contains("admission webhook") && message.contains("denied")
    let isPolicy = message.contains("ValidatingAdmissionPolicy") && message.contains("denied")
    return isWebhook || isPolicy ? .admissionDenied : nil
  }

  private static func kind(code: Int) -> KubernetesError.Kind {
    switch code {
    case 400, 422: .invalid
    case 401: .unauthorized
    case 403: .forbidden
    case 404: .notFound
    case 409: .conflict
    case 410: .expired
    case 429: .throttled
    case 503: .unavailable
    case 504: .timeout
    case 500...: .serverFailure
    default: .rejected
    }
  }

  private static func retryAfter(_ headers: HTTPHeaders) -> Duration? {
    guard let text = headers["retry-after"], let seconds = Int64(text), seconds >= 0 else {
      return nil
    }
    return .seconds(min(seconds, retryAfterSecondsMax))
  }
}
