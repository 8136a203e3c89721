import Glibc
import Reactor

/// What proves who we are at this moment.
struct PresentedCredential: Sendable, Equatable {
  /// The Authorization field's value.
  var authorization: String?
  /// For the TLS handshake, PEM.
  var certificate: [UInt8]?
  var key: HiddenBytes?
}

/// Keeps the credential of one cluster fresh. Confined to its reactor.
///
/// Files are read again, and plugins run again, when what they gave grows old or is refused; at most
/// one reading or run is under way, and everyone waits for that one.
final class CredentialSource {
  /// How long a token file's content is used: kubelets rotate well before expiry.
  static let fileLifetime = Duration.seconds(60)
  /// A plugin is asked again this long before its answer expires.
  static let renewalMarginSeconds: Int64 = 60
  /// A plugin that failed is left alone this long.
  static let failurePause = Duration.seconds(5)
  /// Calls that wait for one run of a plugin.
  static let waitingMax = 1024

  private let cluster: ClusterConfiguration
  private let blocking: BlockingPool
  private let reactor: Reactor
  private let pluginLimits: ChildProcess.Limits

  private var current: PresentedCredential?
  private var freshUntil = Instant(nanoseconds: 0)
  private var failure: (error: ClusterConfigurationError, until: Instant)?
  private var waiting: [UnsafeContinuation<Void, Never>] = []
  private var isRefreshing = false
  /// How often a file was read or a plugin was run.
  private(set) var refreshes = 0

  init(
    _ cluster: ClusterConfiguration, reactor: Reactor, blocking: BlockingPool,
    pluginLimits: ChildProcess.Limits = ChildProcess.Limits()
  ) {
    self.cluster = cluster
    self.reactor = reactor
    self.blocking = blocking
    self.pluginLimits = pluginLimits
    switch cluster.credential {
    case .anonymous: settle(PresentedCredential())
    case .token(let token): settle(PresentedCredential(authorization: "Bearer \(token.value)"))
    case .clientCertificate(let certificate, let key):
      settle(PresentedCredential(certificate: certificate, key: key))
    case .tokenFile, .plugin: break
    }
  }

  private func settle(_ credential: PresentedCredential) {
    current = credential
    freshUntil = .distantFuture
  }

  /// The server refused the credential: the next call gets a new one, where there can be one.
  func refused(_ credential: PresentedCredential) {
    switch cluster.credential {
    case .tokenFile, .plugin: if credential == current { freshUntil = Instant(nanoseconds: 0) }
    default: break
    }
  }

  /// Whether a refused credential is worth a second try.
  var isRenewable: Bool {
    switch cluster.credential {
    case .tokenFile, .plugin: true
    default: false
    }
  }

  func credential() async throws(ClusterConfigurationError) -> PresentedCredential {
    if let current, Instant.now() < freshUntil { return current }
    if let failure, Instant.now() < failure.until { throw failure.error }
    if waiting.count >= Self.waitingMax {
      throw ClusterConfigurationError(
        "more than \(Self.waitingMax) calls wait for a credential of cluster \(cluster.name)")
    }
    startRefresh()
    await withUnsafeContinuation { continuation in
      // The answer may have come before the wait began.
      if isRefreshing { waiting.append(continuation) } else { continuation.resume() }
    }
    if let failure { throw failure.error }
    guard let current else { throw ClusterConfigurationError("no credential") }
    return current
  }

  private func startRefresh() {
    if isRefreshing { return }
    isRefreshing = true
    refreshes += 1
    // Not a child of the caller: the others wait for it too, whatever becomes of the first.
    reactor.loop.spawn(on: reactor) {
      // A copy: the pool's thread must not see this object.
      let (cluster, limits) = (self.cluster, self.pluginLimits)
      let result: Result<Renewed, ClusterConfigurationError>
      do {
        result = try await self.blocking.run { Self.renew(cluster, limits) }
      } catch {
        result = .failure(ClusterConfigurationError("\(error)"))
      }
      self.refreshed(result)
    }
  }

  private func refreshed(_ result: Result<Renewed, ClusterConfigurationError>) {
    isRefreshing = false
    switch result {
    case .success(let renewed):
      failure = nil
      current = renewed.credential
      freshUntil = renewed.lifetime.map { Instant.now() + $0 } ?? .distantFuture
    case .failure(let error):
      failure = (error, Instant.now() + Self.failurePause)
    }
    let resumed = waiting
    waiting = []
    for continuation in resumed { continuation.resume() }
  }

  private struct Renewed: Sendable {
    let credential: PresentedCredential
    /// Nil: until it is refused.
    let lifetime: Duration?
  }

  private static func renew(
    _ cluster: ClusterConfiguration, _ limits: ChildProcess.Limits
  ) -> Result<Renewed, ClusterConfigurationError> {
    Result { () throws(ClusterConfigurationError) in
      switch cluster.credential {
      case .tokenFile(let path): return try readToken(path)
      case .plugin(let plugin): return try ask(plugin, about: cluster, limits)
      case .anonymous, .token, .clientCertificate:
        throw ClusterConfigurationError("this credential is never renewed")
      }
    }
  }

  private static func readToken(_ path: String) throws(ClusterConfigurationError) -> Renewed {
    let bytes = try BoundedFile.read(path, what: "token file")
    let token = BearerToken(String(decoding: bytes, as: UTF8.self))
    guard !token.value.isEmpty else {
      throw ClusterConfigurationError("token file \(path) is empty")
    }
    return Renewed(
      credential: PresentedCredential(authorization: "Bearer \(token.value)"),
      lifetime: fileLifetime)
  }

  private static func ask(
    _ plugin: CredentialPlugin, about cluster: ClusterConfiguration, _ limits: ChildProcess.Limits
  ) throws(ClusterConfigurationError) -> Renewed {
    let answer = try plugin.ask(about: cluster, limits: limits)
    let credential = PresentedCredential(
      authorization: answer.token.map { "Bearer \($0.value)" }, certificate: answer.certificate,
      key: answer.key)
    guard let expiresAt = answer.expiresAt else {
      return Renewed(credential: credential, lifetime: nil)
    }
    let left = expiresAt - Int64(time(nil))
    guard left > 0 else {
      throw ClusterConfigurationError(
        "credential plugin \(plugin.command) gave a credential that has expired already")
    }
    // A short-lived one is used for what it lasts.
    let lifetime = left > 2 * renewalMarginSeconds ? left - renewalMarginSeconds : left
    return Renewed(credential: credential, lifetime: .seconds(lifetime))
  }
}
