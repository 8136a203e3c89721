import Foundation
import FoundationNetworking
import Glibc
import Synchronization

/// One request as it goes over the wire.
struct HTTPCall: Sendable {
  var method: String
  var url: URL
  var headers: [String: String] = [:]
  var body: [UInt8]?
  /// The longest silence of the other side, in seconds.
  var idleSecondsMax: Double
}

struct HTTPHead: Sendable {
  let status: Int
  /// Names in lowercase.
  let headers: [String: String]
}

/// Why there is no answer.
struct TransportError: Error, Equatable {
  enum Kind: Equatable {
    /// Nobody listens; nothing was sent.
    case refused
    case unknownHost
    case timedOut
    /// The certificate is not one to trust, or TLS failed otherwise.
    case notSecure
    /// The connection broke; what was asked for may have happened.
    case lost
    case tooLarge
  }

  let kind: Kind
  let text: String
}

/// HTTP by URLSession. Follows no redirection: a token is for the address it was issued at.
final class HTTPTransport: NSObject, Sendable {
  /// Far above any document of the gateway.
  static let bodyBytesMax = 32 << 20
  /// What a stream may be ahead of its reader.
  static let bufferedChunksMax = 4096

  fileprivate enum Part {
    case head(HTTPHead)
    case chunk([UInt8])
  }

  fileprivate typealias Parts = AsyncThrowingStream<Part, any Error>

  private let session = Mutex<URLSession?>(nil)
  private let exchanges = Mutex<[Int: Parts.Continuation]>([:])

  /// - Parameter address: the only one that is called.
  init(to address: GatewayAddress) {
    super.init()
    if let host = address.loopbackHost { Self.bypassProxies(for: host) }
    let configuration = URLSessionConfiguration.ephemeral
    configuration.urlCache = nil
    configuration.httpShouldSetCookies = false
    // A stream lasts as long as its server wishes.
    configuration.timeoutIntervalForResource = .greatestFiniteMagnitude
    let made = URLSession(configuration: configuration, delegate: self, delegateQueue: nil)
    session.withLock { $0 = made }
  }

  /// What is for this machine goes to no other: without this, a proxy of the environment would be sent
  /// the password. URLSession leaves proxies to libcurl, which asks the environment at each connection.
  private static func bypassProxies(for host: String) {
    let variable = getenv("no_proxy") ?? getenv("NO_PROXY")
    let present = variable.map { String(cString: $0) } ?? ""
    // A star alone is every host.
    if present == "*" { return }
    setenv("no_proxy", present.isEmpty ? host : "\(present),\(host)", 1)
  }

  /// A response whose body is still to come.
  struct Response {
    let head: HTTPHead
    fileprivate var parts: Parts.AsyncIterator

    /// Nil at the body's end.
    mutating func next() async throws -> [UInt8]? {
      guard let part = try await parts.next(isolation: #isolation) else { return nil }
      if case .chunk(let bytes) = part { return bytes }
      return []
    }

    mutating func body() async throws -> [UInt8] {
      var body: [UInt8] = []
      while let chunk = try await next() {
        body += chunk
        if body.count > HTTPTransport.bodyBytesMax {
          throw TransportError(
            kind: .tooLarge, text: "the answer has more than \(HTTPTransport.bodyBytesMax) bytes")
        }
      }
      return body
    }
  }

  /// Sends the request and waits for the head of its answer. Letting go of the response ends it.
  func open(_ call: HTTPCall) async throws -> Response {
    var request = URLRequest(url: call.url, timeoutInterval: call.idleSecondsMax)
    request.httpMethod = call.method
    request.cachePolicy = .reloadIgnoringLocalCacheData
    for (name, value) in call.headers { request.setValue(value, forHTTPHeaderField: name) }
    if let body = call.body { request.httpBody = Data(body) }
    guard let task = session.withLock({ $0?.dataTask(with: request) }) else {
      throw TransportError(kind: .lost, text: "the session is closed")
    }
    let (stream, continuation) = Parts.makeStream(
      bufferingPolicy: .bufferingOldest(Self.bufferedChunksMax))
    continuation.onTermination = { _ in task.cancel() }
    exchanges.withLock { $0[task.taskIdentifier] = continuation }
    task.resume()
    var parts = stream.makeAsyncIterator()
    guard case .head(let head) = try await parts.next(isolation: #isolation) else {
      try Task.checkCancellation()
      throw TransportError(kind: .lost, text: "the connection ended without an answer")
    }
    return Response(head: head, parts: parts)
  }

  private func continuation(of task: URLSessionTask) -> Parts.Continuation? {
    exchanges.withLock { $0[task.taskIdentifier] }
  }
}

extension HTTPTransport: URLSessionDataDelegate {
  func urlSession(
    _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
    completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
  ) {
    var headers: [String: String] = [:]
    let answer = response as? HTTPURLResponse
    for (name, value) in answer?.allHeaderFields ?? [:] {
      headers["\(name)".lowercased()] = "\(value)"
    }
    let head = HTTPHead(status: answer?.statusCode ?? 0, headers: headers)
    continuation(of: dataTask)?.yield(.head(head))
    completionHandler(.allow)
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    guard let continuation = continuation(of: dataTask) else { return }
    if case .dropped = continuation.yield(.chunk(Array(data))) {
      continuation.finish(
        throwing: TransportError(kind: .tooLarge, text: "the stream is too fast to be read"))
    }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?
  ) {
    let continuation = exchanges.withLock { $0.removeValue(forKey: task.taskIdentifier) }
    guard let error else {
      continuation?.finish()
      return
    }
    continuation?.finish(throwing: TransportError(error))
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask,
    willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest,
    completionHandler: @escaping (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }
}

extension TransportError {
  fileprivate init(_ error: any Error) {
    let cause = error as NSError
    text = (cause.userInfo[NSLocalizedDescriptionKey] as? String) ?? "error \(cause.code)"
    switch URLError.Code(rawValue: cause.code) {
    case .cannotConnectToHost: kind = .refused
    case .cannotFindHost, .dnsLookupFailed: kind = .unknownHost
    case .timedOut: kind = .timedOut
    case .secureConnectionFailed, .serverCertificateUntrusted, .serverCertificateHasBadDate,
      .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid:
      kind = .notSecure
    default: kind = .lost
    }
  }
}
