import Contracts
import Foundation
import Logging
import Observability
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

/// A service whose certificates are replaced while it runs.
@Suite(.timeLimit(.minutes(1))) struct CertificateRenewalTests {
  /// A folder of the kind that Kubernetes mounts: the files are links into `..data`, itself a link,
  /// which is changed for one to another folder.
  private final class MountedSecret {
    let certificates: TestCertificates
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-secret-\(UUID().uuidString)")
    private var version = 0

    init(_ certificates: TestCertificates, identity: String) throws {
      self.certificates = certificates
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      for name in ["tls.crt", "tls.key", "ca.crt"] {
        symlink("..data/\(name)", folder.appendingPathComponent(name).path)
      }
      try replace(identity: identity)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func replace(identity: String, age: Int64 = 0, lifetimeSeconds: Int64 = 3600) throws {
      let files = try certificates.files(for: identity, age: age, lifetimeSeconds: lifetimeSeconds)
      try replace([
        "tls.crt": files.certificate, "tls.key": files.key, "ca.crt": certificates.authorityFile,
      ])
    }

    func replace(_ files: [String: String]) throws {
      version += 1
      let next = folder.appendingPathComponent("v\(version)")
      try FileManager.default.createDirectory(at: next, withIntermediateDirectories: true)
      for (name, file) in files {
        try FileManager.default.copyItem(
          atPath: file, toPath: next.appendingPathComponent(name).path)
      }
      let link = folder.appendingPathComponent("..data_tmp").path
      symlink("v\(version)", link)
      rename(link, folder.appendingPathComponent("..data").path)
    }

    var configuration: TLSConfiguration {
      TLSConfiguration(
        certificateFile: folder.appendingPathComponent("tls.crt").path,
        keyFile: folder.appendingPathComponent("tls.key").path,
        authoritiesFile: folder.appendingPathComponent("ca.crt").path,
        requiresClientCertificate: true, applicationProtocols: ["h2"])
    }
  }

  /// Remembers who has called.
  private final class Callers: ServerInterceptor {
    var last: String?

    func begin(_ context: ServerContext) { last = context.peerIdentity?.spiffe }
  }

  /// A server and a client with the same mounted certificate.
  private struct Peers {
    let secret: MountedSecret
    let renewal: CertificateRenewal
    let metrics = MetricsRegistry()
    let log = LogLines()
    let callers = Callers()
    let server: Server
    let address: SocketAddress
    let reactor: Reactor

    init(
      _ reactor: isolated Reactor, _ certificates: TestCertificates, interval: Duration
    ) throws {
      self.reactor = reactor
      secret = try MountedSecret(certificates, identity: "config")
      renewal = try CertificateRenewal(
        secret.configuration, interval: interval, loop: reactor.loop, logger: log.logger,
        metrics: metrics)
      server = Server(reactor: reactor, interceptors: [callers])
      server.register(EchoService().methods)
      address = try server.listen(
        on: .ipv4(address: 0x7F00_0001, port: 0), tls: renewal.server)
    }

    func client(expecting identity: String) -> TestingV1.EchoServiceClient {
      var configuration = ChannelConfiguration()
      configuration.tls = renewal.client
      configuration.expectedServer = .spiffe("spiffe://storeplane/\(identity)")
      return TestingV1.EchoServiceClient(
        channel: Channel(reactor: reactor, configuration: configuration, address: address))
    }

    func call(_ client: TestingV1.EchoServiceClient) async throws {
      _ = try await client.echo(
        EchoServer.request("x"), options: CallOptions(timeout: .seconds(20)))
    }

    func shows(_ metric: String) -> Bool {
      String(decoding: metrics.exposition(), as: UTF8.self).contains("\n\(metric)\n")
    }
  }

  @Test func newConnectionsUseTheNewCertificateAndOldOnesGoOn() async throws {
    try await withReactor { reactor in
      let certificates = try TestCertificates()
      let peers = try Peers(reactor, certificates, interval: .milliseconds(10))
      let old = peers.client(expecting: "config")
      try await peers.call(old)
      try peers.secret.replace(identity: "audit")
      while !peers.shows("tls_renewals_total 1") { try await peers.call(old) }
      let new = peers.client(expecting: "audit")
      try await peers.call(new)
      #expect(peers.callers.last == "spiffe://storeplane/audit")
      try await peers.call(old)
      #expect(peers.callers.last == "spiffe://storeplane/config")
      withExtendedLifetime(new) { #expect(peers.server.connectionCount == 2) }
      let late = await rpcError { try await peers.call(peers.client(expecting: "config")) }
      #expect(late?.message.contains("certificate is for another name") == true)
    }
  }

  @Test func filesThatCannotBeUsedLeaveWhatThereIs() async throws {
    try await withReactor { reactor in
      let certificates = try TestCertificates()
      let peers = try Peers(reactor, certificates, interval: .seconds(60))
      let (good, other) = (
        try certificates.files(for: "audit"), try certificates.files(for: "audit")
      )
      let authority = certificates.authorityFile
      let broken: [(files: [String: String], reason: String)] = [
        (["tls.crt": good.key, "tls.key": good.key, "ca.crt": authority], "certificate "),
        (["tls.crt": good.certificate, "ca.crt": authority], "key "),
        (
          ["tls.crt": good.certificate, "tls.key": other.key, "ca.crt": authority],
          "values mismatch"
        ),
        (
          ["tls.crt": good.certificate, "tls.key": good.key, "ca.crt": good.key], "authorities "
        ),
      ]
      for (count, broken) in broken.enumerated() {
        try peers.secret.replace(broken.files)
        peers.renewal.renew()
        // The same files are not complained about again.
        peers.renewal.renew()
        #expect(peers.log.all.count == count + 1)
        #expect(peers.log.all.last?.contains(broken.reason) == true, "\(peers.log.all)")
        #expect(peers.shows("tls_renewal_failures_total \(count + 1)"))
        try await peers.call(peers.client(expecting: "config"))
      }
      for (age, reason) in [(7200, "has expired"), (-600, "is not valid yet")] as [(Int64, String)]
      {
        try peers.secret.replace(identity: "audit", age: age)
        peers.renewal.renew()
        #expect(peers.log.all.last?.contains(reason) == true, "\(peers.log.all)")
        try await peers.call(peers.client(expecting: "config"))
      }
      try peers.secret.replace(identity: "audit")
      peers.renewal.renew()
      #expect(peers.shows("tls_renewals_total 1"))
      try await peers.call(peers.client(expecting: "audit"))
    }
  }
}
