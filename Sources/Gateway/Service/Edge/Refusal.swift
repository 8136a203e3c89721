import HTTP
import Transcoding

/// Why a request is not served, as its client is told.
struct Refusal: Error {
  var problem: Problem
  /// Fields of the answer beside those that every answer has.
  var fields = HTTPHeaders()

  init(_ problem: Problem) { self.problem = problem }

  /// - Parameter code: the number of the gRPC status that says the same.
  init(_ status: HTTPStatus, code: Int, _ detail: String, _ exchange: EdgeExchange) {
    problem = Problem(code: code, message: detail, instance: exchange.requestID)
    problem.status = status
    problem.title = status.reasonPhrase
  }

  static let quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

  /// 429: too much of something, which may be asked for again after a while.
  static func quotaExceeded(
    _ detail: String, reason: String, retryAfterSeconds: Int64, _ exchange: EdgeExchange
  ) -> Refusal {
    var refusal = Refusal(.tooManyRequests, code: 8, detail, exchange)
    refusal.problem.type = quotaExceeded
    refusal.problem.title = "Quota Exceeded"
    refusal.problem.reason = reason
    refusal.problem.domain = "storeplane"
    refusal.problem.retryAfterSeconds = Int(retryAfterSeconds)
    return refusal
  }
}
