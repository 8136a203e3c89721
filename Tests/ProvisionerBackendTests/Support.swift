import Configuration
import Contracts
import Foundation
import Glibc
import JSON
import Kubernetes
import Logging
import Postgres
import ProvisionerService
import RPC
import Reactor
import ServiceRuntime
import TestKit

@testable import ConfigService
@testable import ProvisionerBackend

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(60) }
}

/// Files of the checkout and of its build.
enum Checkout {
  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func file(_ path: String) -> String { root.appendingPathComponent(path).path }

  static var chart: String { file("helm/ecommerce-store") }
  static var localValues: String { file("helm/ecommerce-store/values-local.yaml") }

  /// Beside the test's own program.
  static let worker: String = {
    let products = URL(fileURLWithPath: CommandLine.arguments.first ?? "")
      .deletingLastPathComponent().path
    return ["\(products)/helm-worker", file(".build/debug/helm-worker")]
      .first { FileManager.default.isExecutableFile(atPath: $0) } ?? ""
  }()

  /// Of the package helm-python-sdk in .venv.
  static let helmLibrary: String? = {
    let lib = root.appendingPathComponent(".venv/lib")
    let pythons = (try? FileManager.default.contentsOfDirectory(atPath: lib.path)) ?? []
    return pythons.map { "\(lib.path)/\($0)/site-packages/helm_python/lib/libhelm_c.so" }
      .first { FileManager.default.isReadableFile(atPath: $0) }
  }()

  static var hasHelm: Bool {
    if helmLibrary == nil { print(".venv has no libhelm_c.so: run scripts/venv") }
    return helmLibrary != nil
  }
}

/// Runs a command of the shell; its exit code. Not by Foundation's `Process`, which waits for ever
/// where another child holds what tells of the end.
func shell(_ command: String) -> Int32 {
  let status = system(command)
  return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
}

/// Runs `body` on a reactor of its own.
func onReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run { try await body($0) }
}

func site(
  _ store: String = "0abcdefghjkmnpqr", tenant: String = "acme", title: String = "Tea",
  namespace: String? = nil, values: JSONObject = JSONObject(), fence: Int64 = 1,
  engine: StoreEngine = .woocommerce
) -> StoreSite {
  StoreSite(
    store: store, tenant: tenant, name: "tea", engine: engine, cluster: "default",
    namespace: namespace ?? "store-\(store)", host: "\(store).localhost",
    parameters: StoreParameters(title: title, values: values), fence: fence)
}

/// The error of this type that `body` throws; nil for another outcome.
func failure<Failure: Error, R>(
  _ type: Failure.Type, _ body: () async throws -> R
) async -> Failure? {
  do {
    _ = try await body()
    return nil
  } catch {
    return error as? Failure
  }
}
