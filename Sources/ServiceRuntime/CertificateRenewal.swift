import Glibc
package import Logging
package import Observability
package import Reactor

/// Takes up new certificates without a restart, for the connections to come; those that are open keep
/// the certificates they began with. Confined to the loop.
///
/// The files are looked at again and again, behind symbolic links, since Kubernetes replaces a mounted
/// secret by changing one. Certificate, key and authorities are used together or not at all: where
/// they cannot be used, those in use stay.
package final class CertificateRenewal {
  package static let interval: Duration = .seconds(10)
  /// How often files that change while they are read are read again at once.
  private static let readingsMax = 3

  package let server: TLSContext
  package let client: TLSContext

  private let files: [String]
  private let loop: EventLoop
  private let interval: Duration
  private let logger: Logger
  private let renewals: Counter
  private let failures: Counter
  private let expiry: Gauge
  private var seen: [FileVersion?]
  /// Why the files that were seen cannot be used.
  private var failure: String?
  private var timer: LoopTimer?

  /// Throws where the files cannot be used at all.
  package init(
    _ configuration: TLSConfiguration, interval: Duration = CertificateRenewal.interval,
    loop: EventLoop, logger: Logger, metrics: MetricsRegistry
  ) throws {
    files = [configuration.certificateFile, configuration.keyFile, configuration.authoritiesFile]
      .compactMap(\.self)
    seen = files.map(FileVersion.init)
    server = try TLSContext.server(configuration)
    client = try TLSContext.client(configuration)
    self.loop = loop
    self.interval = interval
    self.logger = logger
    renewals = metrics.counter(
      "tls_renewals_total", help: "Times that new certificates were taken up.")
    failures = metrics.counter(
      "tls_renewal_failures_total",
      help: "Times that new certificates were found which cannot be used.")
    expiry = metrics.gauge(
      "tls_certificate_expiry_timestamp_seconds",
      help: "When the certificate in use expires, in seconds since 1970.")
    expiry.set(server.credentials.expiry ?? 0)
    schedule()
  }

  package func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func schedule() {
    timer = loop.schedule(after: interval) { [weak self] in
      self?.look()
      self?.schedule()
    }
  }

  private func look() {
    // Files that cannot be used may become so without a change: a certificate that is not valid yet.
    if failure != nil || files.map(FileVersion.init) != seen { renew() }
  }

  /// Reads the files, changed or not.
  package func renew() {
    for _ in 0..<Self.readingsMax {
      let found = files.map(FileVersion.init)
      let read = Result { (try server.readCredentials(), try client.readCredentials()) }
      // What was read is of one time only if nothing has changed meanwhile.
      if files.map(FileVersion.init) != found { continue }
      switch read {
      case .success(let (server, client)): use(server, client)
      case .failure(let error): fail("\(error)", isNew: found != seen)
      }
      seen = found
      return
    }
  }

  private func use(_ server: TLSContext.Credentials, _ client: TLSContext.Credentials) {
    self.server.use(server)
    self.client.use(client)
    failure = nil
    renewals.increment()
    expiry.set(server.expiry ?? 0)
    logger.notice("certificates renewed", metadata: ["expiry": "\(server.expiry ?? 0)"])
  }

  private func fail(_ reason: String, isNew: Bool) {
    if !isNew, reason == failure { return }
    failure = reason
    failures.increment()
    logger.error(
      "new certificates cannot be used; those in use stay", metadata: ["reason": "\(reason)"])
  }
}

/// What changes when a file is written or replaced.
private struct FileVersion: Equatable {
  private let device: dev_t
  private let inode: ino_t
  private let bytes: Int
  private let seconds: Int
  private let nanoseconds: Int

  /// Nil for a file that is not there.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    device = status.st_dev
    inode = status.st_ino
    bytes = status.st_size
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }
}
