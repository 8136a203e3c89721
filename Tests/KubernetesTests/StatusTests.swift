import HTTP
import JSON
import Testing

@testable import Kubernetes

@Suite struct StatusTests {
  private func error(
    _ code: Int, reason: String = "", message: String = "words", details: String = "{}",
    headers: HTTPHeaders = HTTPHeaders(), hides: Bool = false
  ) throws -> KubernetesError {
    let body = """
      {"kind":"Status","code":\(code),"reason":"\(reason)","message":"\(message)",
       "details":\(details)}
      """
    return StatusAnswer.error(
      status: try #require(HTTPStatus(code: code)), headers: headers, body: Array(body.utf8),
      hidesMessage: hides)
  }

  @Test(arguments: [
    (404, "NotFound", "x", KubernetesError.Kind.notFound, false, false),
    (409, "AlreadyExists", "x", .alreadyExists, false, false),
    (409, "Conflict", "x", .conflict, true, false),
    (401, "Unauthorized", "x", .unauthorized, false, false),
    (403, "Forbidden", "x", .forbidden, false, false),
    (403, "Forbidden", "pods a is forbidden: exceeded quota: q", .quotaExceeded, false, false),
    (403, "Forbidden", "failed quota: q: must specify cpu", .quotaExceeded, false, false),
    (403, "Forbidden", "status unknown for quota: q", .throttled, true, false),
    (
      400, "BadRequest", "admission webhook w.example denied the request: no", .admissionDenied,
      false, false
    ),
    (422, "Invalid", "x", .invalid, false, false),
    (410, "Expired", "x", .expired, true, false),
    (410, "Gone", "x", .expired, true, false),
    (429, "TooManyRequests", "x", .throttled, true, false),
    (500, "InternalError", "failed calling webhook w: timeout", .serverFailure, true, true),
    (500, "ServerTimeout", "x", .timeout, true, true),
    (503, "ServiceUnavailable", "x", .unavailable, true, true),
    (504, "Timeout", "x", .timeout, true, true),
    (415, "UnsupportedMediaType", "x", .rejected, false, false),
  ])
  func tellsThemApart(
    code: Int, reason: String, message: String, kind: KubernetesError.Kind, retryable: Bool,
    clusterFailure: Bool
  ) throws {
    let error = try error(code, reason: reason, message: message)
    #expect(error.kind == kind)
    #expect(error.isRetryable == retryable)
    #expect(error.isClusterFailure == clusterFailure)
    #expect(error.code == code && error.message == message)
  }

  @Test func knowsATerminatingNamespace() throws {
    let details = #"{"causes":[{"reason":"NamespaceTerminating","field":"metadata.namespace"}]}"#
    let error = try error(403, reason: "Forbidden", details: details)
    #expect(error.kind == .namespaceTerminating && error.isRetryable && !error.isClusterFailure)
    #expect(error.fields == ["metadata.namespace"])
  }

  @Test func readsRetryAfter() throws {
    #expect(try error(429, headers: ["retry-after": "7"]).retryAfter == .seconds(7))
    #expect(try error(429, details: #"{"retryAfterSeconds":3}"#).retryAfter == .seconds(3))
    #expect(try error(429, headers: ["retry-after": "99999999"]).retryAfter == .seconds(3600))
    #expect(try error(429, headers: ["retry-after": "-1"]).retryAfter == nil)
    #expect(try error(429, headers: ["retry-after": "soon"]).retryAfter == nil)
  }

  @Test func hidesWhatMayQuoteASecret() throws {
    let details = #"{"causes":[{"reason":"x","field":"data.password"}]}"#
    let error = try error(
      422, reason: "Invalid", message: "Invalid value: hunter2", details: details, hides: true)
    #expect(!error.description.contains("hunter2"))
    #expect(error.description.contains("data.password"))
    let plain = StatusAnswer.error(
      status: .badRequest, headers: HTTPHeaders(), body: Array("hunter2".utf8),
      hidesMessage: true)
    #expect(!plain.description.contains("hunter2"))
  }

  @Test(arguments: ["", "<html>bad gateway</html>", "{}", "{\"kind\":\"Pod\"}"])
  func takesAnswersThatAreNoStatus(body: String) {
    let error = StatusAnswer.error(
      status: .badGateway, headers: HTTPHeaders(), body: Array(body.utf8), hidesMessage: false)
    #expect(error.kind == .serverFailure && error.isClusterFailure)
    let long = StatusAnswer.error(
      status: .badRequest, headers: HTTPHeaders(),
      body: [UInt8](repeating: 0x61, count: 5000), hidesMessage: false)
    #expect(long.message.utf8.count == StatusAnswer.shownBytesMax)
  }

  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0), ("2000-02-29T12:00:00Z", 951_825_600),
    ("2026-11-21T05:00:00.123456Z", 1_795_237_200), ("2026-11-21T05:00:00+01:00", 1_795_233_600),
  ])
  func readsTimes(text: String, seconds: Int64) {
    #expect(KubernetesTime.seconds(text) == seconds)
  }

  @Test(arguments: [
    "", "2026-11-21", "2026-13-21T05:00:00Z", "2026-11-21T25:00:00Z", "2026-11-21T05:00:00",
  ])
  func refusesWhatIsNoTime(text: String) {
    #expect(KubernetesTime.seconds(text) == nil)
  }

  @Test func redacts() {
    #expect(
      Redaction.redact("a secret, secrets", ["secret", "", "secrets"])
        == "a [secret], [secret]")
  }

  @Test func pads() throws {
    for text in ["", "a", "ab", "abc", "abcd"] {
      let bytes = Array(text.utf8)
      #expect(PaddedBase64.decode(PaddedBase64.encode(bytes)) == bytes)
    }
    #expect(PaddedBase64.encode([0x61]) == "YQ==")
    #expect(PaddedBase64.decode("*") == nil)
  }
}
