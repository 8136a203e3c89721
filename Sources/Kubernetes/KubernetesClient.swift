import HTTP
package import Reactor

/// A client of one cluster's API server. Confined to its reactor, as everything that it hands out.
///
/// It does not try again by itself (but once where a credential was refused that can be renewed):
/// retries and circuit breakers belong to who knows what the call is for. See `KubernetesError`.
package final class KubernetesClient {
  /// Names us as owner of the fields that we apply.
  package static let fieldManager = "storeplane"

  package let reactor: Reactor
  package let configuration: ClusterConfiguration
  package let limits: KubernetesLimits
  let blocking: BlockingPool
  let credentials: CredentialSource
  private let makeTransport: TransportFactory?
  private var transport: (credential: PresentedCredential, transport: any KubernetesTransport)?
  private var watches: [WatchKey: SharedWatch] = [:]
  private var isClosed = false
  var execsRunning = 0
  /// Since it was made, those of watches included.
  package private(set) var requestsSent = 0
  package var watchCount: Int { watches.count }

  private struct WatchKey: Hashable {
    let kind: ResourceKind
    let namespace: String?
    let labelSelector: String?
  }

  typealias TransportFactory = (PresentedCredential) throws(KubernetesError)
    -> any KubernetesTransport

  package convenience init(
    reactor: Reactor, configuration: ClusterConfiguration, blocking: BlockingPool,
    limits: KubernetesLimits = KubernetesLimits()
  ) {
    self.init(
      reactor: reactor, configuration: configuration, blocking: blocking, limits: limits,
      makeTransport: nil)
  }

  /// - Parameter makeTransport: in place of HTTP/2.
  init(
    reactor: Reactor, configuration: ClusterConfiguration, blocking: BlockingPool,
    limits: KubernetesLimits, makeTransport: TransportFactory?
  ) {
    self.makeTransport = makeTransport
    self.reactor = reactor
    self.configuration = configuration
    self.limits = limits
    self.blocking = blocking
    credentials = CredentialSource(configuration, reactor: reactor, blocking: blocking)
  }

  /// Ends every call, watch and connection. To be called before the client is let go.
  package func close() {
    isClosed = true
    for watch in watches.values { watch.stop() }
    watches = [:]
    transport?.transport.close()
    transport = nil
  }

  // MARK: Watches

  /// The watch that all who ask for the same kind and selector share. It begins with the first.
  package func watch(
    _ kind: ResourceKind, namespace: String? = nil, labelSelector: String? = nil
  ) throws(KubernetesError) -> SharedWatch {
    if isClosed { throw KubernetesError(.cancelled, "the client is closed") }
    let key = WatchKey(kind: kind, namespace: namespace, labelSelector: labelSelector)
    if let watch = watches[key] { return watch }
    guard watches.count < limits.watchesMax else {
      throw KubernetesError(
        .limitReached,
        "\(watches.count) watches of cluster \(configuration.name) are open (watchesMax): share one "
          + "by a common label")
    }
    let watch = SharedWatch(
      self, kind: kind, namespace: namespace, labelSelector: labelSelector, limits: limits.watch)
    watches[key] = watch
    watch.start()
    return watch
  }

  // MARK: Sending

  /// One request to the API.
  struct Request {
    var method = HTTPMethod.get
    /// Below the server's base path.
    var path: String
    var query: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var contentType = "application/json"
    var accept = "application/json"
    /// The body is secret, and the server's messages may quote it.
    var isSecret = false
  }

  /// Sends a request and returns its answer if that is a success.
  func send(
    _ request: Request, deadline: Instant
  ) async throws(KubernetesError) -> any KubernetesResponse {
    reactor.loop.checkIsolated()
    var attempt = 0
    while true {
      attempt += 1
      requestsSent += 1
      let credential = try await credential()
      let transport = try transport(for: credential)
      let response = try await transport.send(
        head(request, credential), body: request.body, deadline: deadline)
      let status = response.head.status
      if status.isSuccess { return response }
      let body = try await response.collect(upTo: limits.responseBytesMax)
      if status == .unauthorized, credentials.isRenewable, attempt == 1 {
        credentials.refused(credential)
        continue
      }
      throw StatusAnswer.error(
        status: status, headers: response.head.headers, body: body,
        hidesMessage: request.isSecret)
    }
  }

  func head(_ request: Request, _ credential: PresentedCredential) -> HTTPRequestHead {
    let query = request.query.map {
      "\(PercentEncoding.encode($0.name))=\(PercentEncoding.encode($0.value))"
    }
    var head = HTTPRequestHead(
      method: request.method, authority: configuration.server.authority,
      path: configuration.server.basePath + request.path,
      query: query.isEmpty ? nil : query.joined(separator: "&"))
    head.headers["user-agent"] = "storeplane"
    head.headers["accept"] = request.accept
    if !request.body.isEmpty { head.headers["content-type"] = request.contentType }
    if let authorization = credential.authorization {
      head.headers["authorization"] = authorization
    }
    return head
  }

  func credential() async throws(KubernetesError) -> PresentedCredential {
    if isClosed { throw KubernetesError(.cancelled, "the client is closed") }
    do {
      return try await credentials.credential()
    } catch {
      throw KubernetesError(error)
    }
  }

  /// The transport of a credential. A new client certificate takes new connections.
  private func transport(
    for credential: PresentedCredential
  ) throws(KubernetesError) -> any KubernetesTransport {
    if let (of, transport) = transport {
      if of.certificate == credential.certificate, of.key == credential.key { return transport }
      transport.close()
    }
    let made: any KubernetesTransport
    if let makeTransport {
      made = try makeTransport(credential)
    } else {
      made = HTTP2Transport(
        configuration.server, expected: expectedServer,
        tls: try tls(for: credential, protocols: ["h2"]), reactor: reactor, blocking: blocking,
        limits: limits)
    }
    transport = (credential, made)
    return made
  }

  func tls(
    for credential: PresentedCredential, protocols: [String]
  ) throws(KubernetesError) -> TLSContext {
    var tls = TLSConfiguration(applicationProtocols: protocols)
    tls.inMemory = TLSCredentials(
      certificate: credential.certificate, key: credential.key?.bytes,
      authorities: configuration.authorities)
    tls.trustsAnyServer = configuration.trustsAnyServer
    do {
      return try TLSContext.client(tls)
    } catch {
      throw KubernetesError(.configuration, "cluster \(configuration.name): \(error)")
    }
  }

  var expectedServer: ExpectedServer {
    // Without verification there is no name to hold against the certificate either.
    if let name = configuration.tlsServerName { return .hostName(name) }
    let server = configuration.server
    return server.isNumeric ? .ipAddress(server.host) : .hostName(server.host)
  }
}
