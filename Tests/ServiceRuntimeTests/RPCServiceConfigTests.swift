import Configuration
import Foundation
import Logging
import RPC
import Reactor
import Testing

@testable import ServiceRuntime

@Suite struct RPCServiceConfigTests {
  private func configuration(
    of service: PlatformService, _ json: String?
  ) throws -> Configuration {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    var environment = [
      "DATABASE_URL": "postgresql://a@b/c",
      "PLATFORM_ENCRYPTION_KEY": String(repeating: "0", count: 64),
    ]
    if let json {
      try Data(json.utf8).write(to: file)
      environment["RPC_SERVICE_CONFIG_FILE"] = file.path
    }
    return try Configuration.load(service.schema, environment: environment)
  }

  /// What a channel of the service has been told.
  private func config(of service: PlatformService, _ json: String?) async throws -> ServiceConfig {
    let configuration = try configuration(of: service, json)
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    return try await reactor.run { reactor in
      let service = try Service(
        service, configuration, logger: Logger(label: "test"), reactor: reactor)
      return try service.channel(to: .audit, at: HostPort(host: "localhost", port: 1))
        .configuration.service
    }
  }

  @Test(arguments: [PlatformService.gateway, .provisioner, .config])
  func theFileIsTakenByThoseWhoCall(service: PlatformService) async throws {
    let json = #"""
      {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}
      """#
    let config = try await config(of: service, json)
    #expect(config.loadBalancing == .roundRobin)
    #expect(config.healthCheckService == "")
  }

  @Test(arguments: PlatformService.allCases)
  func withoutAFileTheDefaultsHold(service: PlatformService) async throws {
    let config = try await config(of: service, nil)
    #expect(config.loadBalancing == .pickFirst)
    #expect(config.healthCheckService == nil)
  }

  @Test func aBadFileIsNamedWithItsFault() throws {
    let error = #expect(throws: ConfigurationError.self) {
      try configuration(of: .gateway, #"{"methodConfg": []}"#).rpcServiceConfig()
    }
    let problem = try #require(error?.problems.first)
    #expect(problem.key == "RPC_SERVICE_CONFIG_FILE")
    #expect(problem.reason.contains("which is no service config: $.methodConfg: unknown field"))
    #expect(problem.remedy.contains("leave the setting out"))
    #expect(problem.origin == .environment(variable: "RPC_SERVICE_CONFIG_FILE"))
  }
}
