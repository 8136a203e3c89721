import Configuration
import Cryptography
import Descriptors
import HTTP
import Logging
import Observability
import Postgres
import RPCCore
import Reactor
import ServiceRuntime
import Transcoding

/// Takes every request of the public door through the steps of the edge and to what answers it.
final class EdgeHandler: HTTPHandler {
  private static let pathBytesLogged = 200

  private let steps: [any EdgeStep]
  private let streams: OpenStreams
  private let limits: GatewayLimits
  private let trustedProxies: [AddressRange]
  private let metrics: EdgeMetrics
  private let logger: Logger
  private let reactor: Reactor

  init(
    _ steps: [any EdgeStep], streams: OpenStreams, limits: GatewayLimits,
    trustedProxies: [AddressRange], metrics: EdgeMetrics, logger: Logger, on reactor: Reactor
  ) {
    self.steps = steps
    self.streams = streams
    self.limits = limits
    self.trustedProxies = trustedProxies
    self.metrics = metrics
    self.logger = logger
    self.reactor = reactor
  }

  func handle(_ request: HTTPRequest, _ response: HTTPResponseWriter) async throws {
    let headers = request.head.headers
    let exchange = EdgeExchange(
      request, Self.context(of: headers),
      from: ClientOrigin(request.peer, headers, behind: trustedProxies),
      deadline: request.receivedAt + limits.requestTimeout)
    try await RequestScope.$current.bound(to: exchange.context.scope) {
      try await self.serve(exchange, response)
    }
  }

  /// The request's id and trace: those that the client sent, where they are well formed, or new ones.
  private static func context(of headers: HTTPHeaders) -> RequestContext {
    var generator = SystemRandomNumberGenerator()
    let requestID =
      headers[RequestContextInterceptor.requestIDName].flatMap { RequestID($0) }
      ?? RequestID(using: &generator)
    let received = headers["traceparent"].flatMap {
      TraceContext(traceparent: $0, tracestate: headers["tracestate"])
    }
    let trace =
      received?.child(using: &generator)
      ?? TraceContext.root(isSampled: true, using: &generator)
    return RequestContext(requestID: requestID, trace: trace)
  }

  private func serve(_ exchange: EdgeExchange, _ response: HTTPResponseWriter) async throws {
    metrics.inProgress.add(1)
    defer {
      metrics.inProgress.add(-1)
      finished(exchange)
    }
    exchange.fields["x-request-id"] = exchange.requestID
    exchange.fields["x-content-type-options"] = "nosniff"
    // Answers are for one caller alone.
    exchange.fields["cache-control"] = "no-store"
    do {
      for step in steps { try step.admit(exchange) }
      try await answer(exchange, response)
    } catch {
      try await refuse(error, exchange, response)
    }
  }

  // MARK: Answers

  private func answer(_ exchange: EdgeExchange, _ response: HTTPResponseWriter) async throws {
    switch exchange.destination {
    case .document(let document):
      exchange.fields["cache-control"] = "public, max-age=\(document.maxAge)"
      exchange.fields["content-type"] = document.contentType
      try await send(.ok, document.body, exchange, response)
    case .method(let routed, let backend):
      let message = try routed.message(
        query: exchange.request.head.query, body: try await body(exchange))
      if routed.route.method.isServerStreaming {
        let format = StreamFormat(exchange.request.head.headers)
        let sender = StreamResponse(response, format, exchange, limits, on: reactor)
        try await streams.serve(exchange) {
          try await backend.stream(message, for: exchange)
        } _: {
          try await sender.send($0, of: routed.route)
        }
      } else {
        let document = try routed.route.responseJSON(
          try await backend.unary(message, for: exchange))
        exchange.fields["content-type"] = "application/json"
        try await send(.ok, document, exchange, response)
      }
    case nil: throw HTTPExchangeError.responseMissing
    }
  }

  private func body(_ exchange: EdgeExchange) async throws -> [UInt8] {
    let body: [UInt8]
    do {
      body = try await exchange.request.collectBody(
        upTo: GatewayLimits.bodyBytesMax, by: exchange.deadline)
    } catch HTTPExchangeError.bodyTooLarge {
      throw Refusal(
        .contentTooLarge, code: 3,
        "the body has more than \(GatewayLimits.bodyBytesMax) bytes (bodyBytesMax)", exchange)
    }
    if body.isEmpty || isJSON(exchange.request.head.headers) { return body }
    throw Refusal(
      .unsupportedMediaType, code: 3,
      "send the body as application/json, and say so in Content-Type", exchange)
  }

  private func isJSON(_ headers: HTTPHeaders) -> Bool {
    guard let value = headers["content-type"] else { return false }
    let type = value.prefix { $0 != ";" && $0 != " " && $0 != "\t" }
    return type.lowercased() == "application/json"
  }

  private func send(
    _ status: HTTPStatus, _ body: [UInt8], _ exchange: EdgeExchange, _ response: HTTPResponseWriter
  ) async throws {
    exchange.status = status
    exchange.responseBytes = body.count
    try await response.send(status, exchange.fields, body: body)
  }

  // MARK: Refusals

  private func refuse(
    _ error: any Error, _ exchange: EdgeExchange, _ response: HTTPResponseWriter
  ) async throws {
    if exchange.request.isAbandoned {
      // The server has answered where it could, as to a body that breaks the protocol.
      exchange.status = (error as? HTTPExchangeError)?.status ?? .clientClosedRequest
      return
    }
    // What has begun cannot take another status: the server cuts it off.
    if response.hasStarted { throw error }
    let refusal = Refusal(error, exchange) { cause in
      self.logger.error("a request failed unexpectedly", metadata: ["cause": "\(cause)"])
    }
    var problem = refusal.problem
    problem.instance = exchange.requestID
    exchange.fields["content-type"] = Problem.contentType
    refusal.fields.forEachField { name, value in
      exchange.fields.append(name: name, value: value)
    }
    if problem.status == .unauthorized, !exchange.fields.contains("www-authenticate") {
      exchange.fields["www-authenticate"] = AuthenticationFailure.missing.challenge
    }
    if let seconds = problem.retryAfterSeconds { exchange.fields["retry-after"] = "\(seconds)" }
    try await send(problem.status, problem.serialized(), exchange, response)
  }

  // MARK: The log

  private func finished(_ exchange: EdgeExchange) {
    let elapsed = Instant.now() - exchange.request.receivedAt
    if exchange.status == nil { exchange.status = .internalServerError }
    var isStream = false
    if case .method(let routed, _) = exchange.destination {
      isStream = routed.route.method.isServerStreaming
    }
    metrics.answered(exchange, isStream ? nil : elapsed)
    let head = exchange.request.head
    var metadata: Logger.Metadata = [
      "method": "\(head.method.name.prefix(16))",
      // The query is left out: people put into it what belongs into a body.
      "path": "\(head.path.prefix(Self.pathBytesLogged))",
      "route": "\(exchange.route)",
      "status": "\(exchange.status?.code ?? 0)",
      "duration_us": "\(elapsed.nanosecondsSaturating / 1000)",
      "bytes": "\(exchange.responseBytes)",
      "version": "\(exchange.request.version.rawValue)",
    ]
    if !exchange.client.address.isEmpty { metadata["address"] = "\(exchange.client.address)" }
    if let principal = exchange.caller?.principal {
      metadata["principal"] = "user:\(principal.subject)"
      if let tenant = principal.tenant { metadata["tenant"] = "\(tenant)" }
    }
    logger.info("request", metadata: metadata)
  }
}
