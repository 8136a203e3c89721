import Contracts
import Cryptography
import Logging
import RPC
import RPCCore
import Reactor
import Resilience
import ServiceRuntime

/// What all calls to services need.
final class UpstreamCalls {
  private let issuers: [ServiceIdentity: TokenIssuer]
  private let time: any TimeSource
  private let metrics: EdgeMetrics
  private let logger: Logger
  let streamTimeout: Duration

  init(
    _ keys: GatewayKeys, time: any TimeSource, metrics: EdgeMetrics, logger: Logger,
    streamTimeout: Duration
  ) {
    let services: [ServiceIdentity] = [.config, .provisioner, .audit]
    issuers = Dictionary(
      uniqueKeysWithValues: services.map {
        ($0, TokenIssuer(rules: CallerTokens.rules(for: $0), key: .es256(keys.caller)))
      })
    self.time = time
    self.metrics = metrics
    self.logger = logger
    self.streamTimeout = streamTimeout
  }

  /// The caller token for `service`, and where the request came from.
  func options(
    for exchange: EdgeExchange, to service: ServiceIdentity, timeout: Duration
  ) throws(RPCError) -> CallOptions {
    var options = CallOptions(timeout: timeout)
    if let caller = exchange.caller {
      options.metadata.append(
        "authorization",
        try caller.authorization(to: service, issuers, now: time.wallNow.seconds))
    }
    if !exchange.client.address.isEmpty {
      options.metadata.append(CallerTokens.addressName, exchange.client.address)
    }
    return options
  }

  /// An error of a call as the client is told it: of what goes on behind the door no more than that
  /// it does not work.
  func told(_ error: RPCError, by service: ServiceIdentity) -> RPCError {
    metrics.upstreamFailed(service.rawValue, error.code)
    let name = service.rawValue
    switch error.code {
    case .unavailable where error.isOutcomeUnknown:
      log(error, name)
      return .tryAgain(
        reason: "OUTCOME_UNKNOWN",
        "the connection to the \(name) service was lost; what was asked for may have happened")
    case .unavailable where error.details.isEmpty:
      log(error, name)
      return .tryAgain(
        reason: "SERVICE_UNAVAILABLE", "the \(name) service cannot be reached; try again")
    case .deadlineExceeded where error.details.isEmpty:
      return RPCError(
        .deadlineExceeded, reason: "SERVICE_TOO_SLOW",
        "the \(name) service did not answer in time; what was asked for may still happen")
    case .unauthenticated, .internal, .unknown, .dataLoss:
      // Not the client's doing: its token was good at this door.
      log(error, name)
      return RPCError(.internal, reason: "INTERNAL", "internal error")
    default: return error
    }
  }

  private func log(_ error: RPCError, _ service: String) {
    logger.error(
      "a call to a service failed", metadata: ["service": "\(service)", "cause": "\(error)"])
  }
}

extension RPCError {
  /// UNAVAILABLE, for a second.
  fileprivate static func tryAgain(reason: String, _ message: String) -> RPCError {
    let retry = GoogleRPC.RetryInfo(retryDelay: GoogleProtobuf.Duration(seconds: 1))
    return RPCError(
      .unavailable, reason: reason, message,
      details: [GoogleProtobuf.AnyMessage(packing: retry)])
  }
}

/// A method that a service answers.
final class UpstreamMethod: Backend {
  private let method: MethodDescriptor
  private let service: ServiceIdentity
  private let channel: Channel
  private let calls: UpstreamCalls

  init(
    _ method: MethodDescriptor, of service: ServiceIdentity, over channel: Channel,
    _ calls: UpstreamCalls
  ) {
    self.method = method
    self.service = service
    self.channel = channel
    self.calls = calls
  }

  func unary(_ message: [UInt8], for exchange: EdgeExchange) async throws -> [UInt8] {
    let options = try calls.options(
      for: exchange, to: service, timeout: max(.zero, exchange.deadline - .now()))
    do {
      return try await channel.unary(method, serialized: message, options)
    } catch let error as RPCError {
      throw calls.told(error, by: service)
    }
  }

  func stream(_ message: [UInt8], for exchange: EdgeExchange) async throws -> MessageStream {
    let options = try calls.options(for: exchange, to: service, timeout: calls.streamTimeout)
    do {
      let stream = try await channel.serverStreaming(method, serialized: message, options)
      return MessageStream(stream, of: service, calls)
    } catch let error as RPCError {
      throw calls.told(error, by: service)
    }
  }
}

/// The messages of a service that streams; letting go of it ends the call.
final class MessageStream {
  private let stream: ResponseStream<[UInt8]>
  private let service: ServiceIdentity
  private let calls: UpstreamCalls
  private var isEnded = false

  init(_ stream: ResponseStream<[UInt8]>, of service: ServiceIdentity, _ calls: UpstreamCalls) {
    self.stream = stream
    self.service = service
    self.calls = calls
  }

  /// Nil at the end. Throws an `RPCError` as the client is told it.
  func next() async throws -> [UInt8]? {
    do {
      return try await stream.next()
    } catch let error as RPCError {
      throw isEnded ? Self.ended : calls.told(error, by: service)
    }
  }

  /// Ends the call, whose reader learns that the client has to come back.
  func end() {
    isEnded = true
    stream.cancel()
  }

  private static let ended = RPCError.tryAgain(
    reason: "GATEWAY_LEAVES", "this gateway is being restarted; connect again")
}
