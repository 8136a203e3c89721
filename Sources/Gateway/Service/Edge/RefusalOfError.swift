import HTTP
import Postgres
import RPCCore
import Reactor
import ServiceRuntime
import Transcoding

extension Refusal {
  /// What the client is told of any error. Of one that is not of its own doing it learns nothing but
  /// that; `unexpected` is given the cause, for the log.
  init(_ error: any Error, _ exchange: EdgeExchange, unexpected: (any Error) -> Void) {
    switch error {
    case let refusal as Refusal: self = refusal
    case let error as RPCError: self = Self.told(error, exchange)
    case let error as TranscodingError:
      if error.location == .response { unexpected(error) }
      self.init(Problem(error, instance: exchange.requestID))
    case let error as HTTPExchangeError where error.status.code < 500:
      self.init(error.status, code: 3, error.description, exchange)
    case is BlockingPoolFull:
      self = Self.told(
        RPCError(.unavailable, reason: "BUSY", "too many logins at once; try again"), exchange)
      problem.retryAfterSeconds = 1
    case let error as PostgresError:
      guard let told = RPCError(database: error) else { fallthrough }
      self = Self.told(told, exchange)
      problem.retryAfterSeconds = told.code == .unavailable ? 1 : nil
    default:
      unexpected(error)
      self.init(.internalServerError, code: 13, "internal error", exchange)
    }
  }

  private static func told(_ error: RPCError, _ exchange: EdgeExchange) -> Refusal {
    var fieldName: (String) -> String = { $0 }
    if case .method(let routed, _) = exchange.destination { fieldName = routed.route.clientField }
    var refusal = Refusal(
      Problem(
        code: error.code.rawValue, message: error.message, details: error.details,
        instance: exchange.requestID, fieldName: fieldName))
    if error.code == .resourceExhausted, refusal.problem.retryAfterSeconds != nil {
      refusal.problem.type = quotaExceeded
      refusal.problem.title = "Quota Exceeded"
    }
    return refusal
  }
}
