import Configuration
import Cryptography
import Foundation
import GatewayService
import Glibc
import HTTP
import Logging
import Postgres
import Reactor
import ServiceRuntime

/// The gateway's process: the service, or one of the commands of the installation.
@main enum GatewayMain {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if let command = UserCommand(arguments) { command.run() }
    do {
      ServiceProcess.run(.gateway, migrations: try GatewayMigrations.all()) { service, reactor in
        try await start(service, on: reactor)
      }
    } catch {
      FileHandle.standardError.write(Data("\(error)\n".utf8))
      exit(EX_SOFTWARE)
    }
  }

  private static func start(_ service: Service, on reactor: isolated Reactor) async throws {
    let configuration = service.configuration
    let worker = try service.pool(.worker)
    let audit = try service.channel(
      to: .audit, at: configuration[PlatformSettings.auditAddress])
    var parts = GatewayParts(
      keys: try keys(configuration),
      storeCreationCooldown: configuration[PlatformSettings.storeCreationCooldown],
      application: try service.pool(.application), worker: worker,
      channels: [
        .config: try service.channel(
          to: .config, at: configuration[PlatformSettings.configAddress]),
        .provisioner: try service.channel(
          to: .provisioner, at: configuration[PlatformSettings.provisionerAddress]),
        .audit: audit,
      ], metrics: service.metrics, logger: service.logger)
    parts.trustedProxies = configuration[PlatformSettings.trustedProxies]
    parts.limits.principal = GatewayLimits.principal(
      perMinute: configuration[PlatformSettings.requestsPerPrincipal])
    parts.limits.address = GatewayLimits.address(
      perMinute: configuration[PlatformSettings.requestsPerAddress])
    let gateway = try Gateway(parts, on: reactor)
    gateway.start()
    service.onStop { await gateway.stop() }
    try service.deliverOutbox(by: worker, to: audit)
    try await listen(gateway, service, on: reactor)
  }

  private static func listen(
    _ gateway: Gateway, _ service: Service, on reactor: isolated Reactor
  ) async throws {
    let logger = service.logger
    let server = HTTPServer(reactor: reactor, handler: gateway.handler)
    server.handlerFailed = { _, error in
      logger.error("an answer was cut off", metadata: ["cause": "\(error)"])
    }
    try server.listen(on: try await service.address(PlatformSettings.listenAddress))
    let grace = service.configuration[PlatformSettings.shutdownGrace]
    service.onStop {
      gateway.endStreams()
      await server.drain(until: .now() + grace)
    }
  }

  private static func keys(_ configuration: Configuration) throws -> GatewayKeys {
    let signingKey = try configuration[PlatformSettings.tokenSigningKey].map { secret in
      try P256PrivateKey(pem: secret.withBytes { SecretBytes(copying: $0) })
    }
    let secret = configuration[PlatformSettings.jwtSecret].map { secret in
      secret.withBytes { SecretBytes(copying: $0) }
    }
    var identityKey: P256PrivateKey?
    if signingKey == nil, let file = configuration[PlatformSettings.tlsKeyFile] {
      let pem = try Data(contentsOf: URL(fileURLWithPath: file))
      // Another kind of key cannot stand in; what is missing is then said at the start.
      identityKey = try? P256PrivateKey(pem: SecretBytes(copying: pem))
    }
    return try GatewayKeys(signingKey: signingKey, secret: secret, identityKey: identityKey)
  }
}
