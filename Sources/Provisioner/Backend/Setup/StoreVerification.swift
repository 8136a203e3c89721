package import Configuration
import HTTP
package import ProvisionerService
package import Reactor

/// Asks a store through the cluster's ingress whether it is what it should be. Confined to its reactor.
package final class StoreVerification {
  /// Of all requests together, below the step's own limit, so that the reason is told.
  package static let timeout = Duration.seconds(55)
  /// Of one attempt.
  private static let requestTimeout = Duration.seconds(20)
  /// Between attempts while the ingress has not heard of the store yet.
  private static let interval = Duration.milliseconds(500)
  /// What an ingress says of a store that it does not know, or cannot reach, yet.
  private static let passing: Set<Int> = [404, 502, 503, 504]

  private let reactor: Reactor
  private let client: HTTPClient
  let address: HostURLTemplate
  private let ingress: HostPort?
  private let resolver: NameResolver
  private let tls: TLSContext?

  /// - Parameters:
  ///   - ingress: where to connect; nil: at the store's own host.
  ///   - storesMax: verified at once; one more fails.
  package init(
    reactor: Reactor, blocking: BlockingPool, address: HostURLTemplate, ingress: HostPort?,
    storesMax: Int
  ) throws(TLSError) {
    self.reactor = reactor
    self.address = address
    self.ingress = ingress
    var limits = HTTPClientLimits()
    limits.requestsMax = storesMax
    client = HTTPClient(reactor: reactor, limits: limits)
    resolver = NameResolver(blocking: blocking)
    let configuration = TLSConfiguration(applicationProtocols: ["http/1.1"])
    tls = address.scheme == "https" ? try TLSContext.client(configuration) : nil
  }

  /// - Parameter deadline: for all that there is to ask.
  package func run(
    _ site: StoreSite, user: String, password: String, deadline: Instant
  ) async throws(ProvisionFailure) {
    switch site.engine {
    case .woocommerce:
      try await checkFrontPage(site, deadline)
      try await checkLogin(site, user: user, password: password, deadline)
    case .medusa:
      try await checkMedusa(site, mail: user, password: password, deadline)
    }
  }

  /// Whether the store answers at all: what its front page says is up to its tenant.
  package func check(_ site: StoreSite, deadline: Instant) async throws(ProvisionFailure) {
    let path = site.engine.livePath
    let head = HTTPRequestHead(
      method: .get, authority: address.authority(host: site.host), path: path)
    let status = try await answer(site, head, deadline: deadline).head.status
    guard status.code < 500, !Self.passing.contains(status.code) else {
      throw ProvisionFailure(
        .verificationFailed, "\(address.url(host: site.host))\(path) answered \(status)")
    }
  }

  private func checkFrontPage(
    _ site: StoreSite, _ deadline: Instant
  ) async throws(ProvisionFailure) {
    let page = try await answer(
      site, HTTPRequestHead(method: .get, authority: address.authority(host: site.host), path: "/"),
      deadline: deadline)
    let place = address.url(host: site.host) + "/"
    guard page.head.status == .ok else {
      throw ProvisionFailure(.verificationFailed, "\(place) answered \(page.head.status)")
    }
    let html = String(decoding: page.body, as: UTF8.self)
    guard let title = StorePages.title(of: html) else {
      throw ProvisionFailure(.verificationFailed, "\(place) has no title")
    }
    guard StorePages.shows(site.title, in: title) else {
      throw ProvisionFailure(
        .verificationFailed, "\(place) is titled \"\(title.prefix(100))\", not \"\(site.title)\"")
    }
  }

  /// WordPress answers a login with a redirect and a cookie, or with its form once more.
  private func checkLogin(
    _ site: StoreSite, user: String, password: String, _ deadline: Instant
  ) async throws(ProvisionFailure) {
    var head = HTTPRequestHead(
      method: .post, authority: address.authority(host: site.host), path: "/wp-login.php")
    head.headers["content-type"] = "application/x-www-form-urlencoded"
    // Without, it says that cookies are blocked.
    head.headers["cookie"] = "wordpress_test_cookie=WP%20Cookie%20check"
    let form = [("log", user), ("pwd", password), ("testcookie", "1"), ("wp-submit", "Log In")]
      .map { "\($0.0)=\(PercentEncoding.encode($0.1))" }.joined(separator: "&")
    let page = try await answer(site, head, body: Array(form.utf8), deadline: deadline)
    let isSignedIn = page.head.headers.values(of: "set-cookie").contains {
      $0.hasPrefix("wordpress_logged_in_")
    }
    guard isSignedIn else {
      throw ProvisionFailure(
        .verificationFailed,
        "the store does not take the administrator's login: wp-login.php answered "
          + "\(page.head.status)")
    }
  }

  // MARK: Requests

  /// The first answer that comes from the store itself, or the last that came in time.
  func answer(
    _ site: StoreSite, _ head: HTTPRequestHead, body: [UInt8] = [], deadline: Instant
  ) async throws(ProvisionFailure) -> HTTPClientResponse {
    while true {
      let outcome: Result<HTTPClientResponse, any Error>
      do {
        let limit = min(deadline, Instant.now() + Self.requestTimeout)
        outcome = .success(try await send(site, head, body, deadline: limit))
      } catch {
        outcome = .failure(error)
      }
      if Task.isCancelled { throw ProvisionFailure(.cancelled) }
      if case .success(let answer) = outcome, !Self.passing.contains(answer.head.status.code) {
        return answer
      }
      // No attempt is begun that could not end.
      if Instant.now() + Self.interval >= deadline {
        return try judged(outcome, of: site, head.path)
      }
      await pause(Self.interval, on: reactor)
    }
  }

  private func judged(
    _ outcome: Result<HTTPClientResponse, any Error>, of site: StoreSite, _ path: String
  ) throws(ProvisionFailure) -> HTTPClientResponse {
    switch outcome {
    case .success(let answer): return answer
    case .failure(let error):
      throw ProvisionFailure(
        .verificationFailed, "\(address.url(host: site.host))\(path): \(error)")
    }
  }

  private func send(
    _ site: StoreSite, _ head: HTTPRequestHead, _ body: [UInt8], deadline: Instant
  ) async throws -> HTTPClientResponse {
    let addresses = try await resolver.resolve(
      ingress?.host ?? site.host, port: ingress?.port ?? address.effectivePort)
    guard let first = addresses.first else {
      throw HTTPClientError(.transport, "\(site.host) has no address")
    }
    var head = head
    head.headers["user-agent"] = "storeplane"
    head.headers["accept"] = "text/html, application/json"
    return try await client.send(
      head, body: body, to: first, tls: tls.map { ($0, .hostName(site.host)) },
      deadline: deadline)
  }
}
