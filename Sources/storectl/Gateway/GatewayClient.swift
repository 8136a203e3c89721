import Foundation
import HTTP
import JSON

/// A call of the gateway's REST API.
struct GatewayRequest: Sendable {
  var method: String
  var path: GatewayPath
  var query: [(name: String, value: String)] = []
  var body: JSON?
  /// Whether it may be sent again when it is not known what became of it.
  var isRepeatable: Bool
  var needsToken = true

  static func get(
    _ path: GatewayPath, _ query: [(name: String, value: String)] = []
  ) -> GatewayRequest {
    GatewayRequest(method: "GET", path: path, query: query, isRepeatable: true)
  }

  /// Repeatable by a `requestId` in the body.
  static func post(_ path: GatewayPath, once body: JSONObject) -> GatewayRequest {
    var body = body
    body["requestId"] = .string(UUID().uuidString.lowercased())
    return GatewayRequest(method: "POST", path: path, body: .object(body), isRepeatable: true)
  }
}

/// Talks to the gateway as the one who is signed in.
struct GatewayClient: Sendable {
  /// Between attempts of a call; one more attempt than there are pauses.
  private static let pauses: [Duration] = [.milliseconds(200), .seconds(1)]
  /// The longest pause that a Retry-After is obeyed for: beyond it the user decides.
  private static let retryAfterSecondsMax = 5
  /// The gateway is heard of every 15 s; a stream that is silent for longer is dead.
  private static let streamSilenceSecondsMax = 45.0

  let address: GatewayAddress
  let session: Session
  /// The longest wait for an answer.
  let timeoutSeconds: Int
  private let transport: HTTPTransport

  init(address: GatewayAddress, session: Session, timeoutSeconds: Int) {
    self.address = address
    self.session = session
    self.timeoutSeconds = timeoutSeconds
    transport = HTTPTransport(to: address)
  }

  // MARK: Calls

  func call(_ request: GatewayRequest) async throws -> JSON {
    var attempts = 0
    while true {
      do {
        return try await attempt(request)
      } catch {
        guard request.isRepeatable, attempts < Self.pauses.count,
          let pause = Self.pause(after: error, attempts: attempts)
        else { throw error }
        attempts += 1
        try await Task.sleep(for: pause)
      }
    }
  }

  /// Nil where trying again does not help.
  private static func pause(after error: any Error, attempts: Int) -> Duration? {
    switch error {
    case let error as TransportError:
      // Nobody listens. After an attempt that got through it is a restart, and worth the wait.
      if error.kind == .refused { return attempts > 0 ? pauses[attempts] : nil }
      return error.kind == .lost ? pauses[attempts] : nil
    case let problem as GatewayProblem where problem.status == 503 || problem.status == 502:
      guard let seconds = problem.retryAfterSeconds else { return pauses[attempts] }
      return seconds <= retryAfterSecondsMax ? .seconds(max(1, seconds)) : nil
    default: return nil
    }
  }

  private func attempt(_ request: GatewayRequest) async throws -> JSON {
    // The gateway, told the same time, is the one to say what was too slow.
    var response = try await open(
      request, accept: "application/json", idleSecondsMax: Double(timeoutSeconds) + 2)
    let body = try await response.body()
    do {
      return try JSON(parsing: body)
    } catch {
      throw CommandFailure(
        .failed, "the answer of \(address) is no JSON: is that the gateway's address?")
    }
  }

  /// A token that is good now.
  func accessToken() async throws -> String { try await session.accessToken(exchange: refresh) }

  // MARK: Streams

  /// The messages of a stream, one after the other.
  struct Messages {
    fileprivate var response: HTTPTransport.Response
    private var decoder = ServerSentEventDecoder()
    private var events: [ServerSentEvent] = []

    fileprivate init(_ response: HTTPTransport.Response) { self.response = response }

    /// Nil when the gateway has ended the stream; an error that it told of is thrown.
    mutating func next() async throws -> JSON? {
      while events.isEmpty {
        guard let chunk = try await response.next() else {
          try Task.checkCancellation()
          return nil
        }
        events = try decoder.receive(chunk.span)
      }
      let event = events.removeFirst()
      let document = try JSON(parsing: event.data)
      guard event.name != "error" else { throw GatewayProblem(document, status: 500) }
      return document
    }
  }

  func stream(_ request: GatewayRequest) async throws -> Messages {
    let response = try await open(
      request, accept: "text/event-stream", idleSecondsMax: Self.streamSilenceSecondsMax)
    guard response.head.headers["content-type"]?.hasPrefix("text/event-stream") == true else {
      throw CommandFailure(
        .failed, "\(address) answers with no event stream: is that the gateway's address?")
    }
    return Messages(response)
  }

  // MARK: Parts

  /// A good answer's head. A token that the gateway refuses is refreshed once.
  private func open(
    _ request: GatewayRequest, accept: String, idleSecondsMax: Double
  ) async throws -> HTTPTransport.Response {
    guard request.needsToken else {
      return try await send(request, token: nil, accept: accept, idleSecondsMax: idleSecondsMax)
    }
    let token = try await session.accessToken(exchange: refresh)
    do {
      return try await send(request, token: token, accept: accept, idleSecondsMax: idleSecondsMax)
    } catch let problem as GatewayProblem where problem.status == 401 && session.givenToken == nil {
      let next = try await session.accessToken(rejected: token, exchange: refresh)
      return try await send(request, token: next, accept: accept, idleSecondsMax: idleSecondsMax)
    }
  }

  /// Gives a refresh token to the gateway: once, since a second time would end the session.
  private func refresh(_ token: String) async throws -> JSON {
    try await attempt(
      GatewayRequest(
        method: "POST", path: "/v1/auth/refresh", body: ["refreshToken": .string(token)],
        isRepeatable: false, needsToken: false))
  }

  private func send(
    _ request: GatewayRequest, token: String?, accept: String, idleSecondsMax: Double
  ) async throws -> HTTPTransport.Response {
    guard let url = address.url(request.path, request.query) else {
      throw CommandFailure(.usage, "'\(request.path.text)' makes no address")
    }
    var call = HTTPCall(method: request.method, url: url, idleSecondsMax: idleSecondsMax)
    call.headers = [
      "Accept": accept, "User-Agent": "storectl/\(StorectlCommand.version)",
      "X-Request-Id": UUID().uuidString.lowercased(),
      "X-Request-Timeout": "\(timeoutSeconds)",
    ]
    if let token { call.headers["Authorization"] = "Bearer \(token)" }
    if let body = request.body {
      call.headers["Content-Type"] = "application/json"
      call.body = body.serialized()
    }
    var response = try await transport.open(call)
    if (200..<300).contains(response.head.status) { return response }
    let document = try? JSON(parsing: try await response.body())
    throw GatewayProblem(document, status: response.head.status, headers: response.head.headers)
  }
}

extension TransportError {
  /// In few words, and the same ones each time.
  func reason(at address: GatewayAddress) -> String {
    kind == .refused ? "nobody answers at \(address)" : "the connection to \(address) broke"
  }

  func failure(at address: GatewayAddress) -> CommandFailure {
    switch kind {
    case .refused:
      CommandFailure(
        .unavailable,
        "nobody answers at \(address): is the gateway up? scripts/up starts it on this machine; "
          + "--address or STOREPLANE_ADDRESS names another")
    case .unknownHost:
      CommandFailure(
        .unavailable, "there is no such host as in \(address): check --address")
    case .timedOut:
      CommandFailure(
        .timedOut, "\(address) did not answer in time; --request-timeout gives it longer")
    case .notSecure: CommandFailure(.failed, "no secure connection to \(address): \(text)")
    case .lost:
      CommandFailure(
        .unavailable,
        "the connection to \(address) broke, and what was asked for may have happened: \(text)")
    case .tooLarge: CommandFailure(.failed, text)
    }
  }
}
