import Foundation
import JSON
import Reactor

@testable import Kubernetes

extension Instant {
  /// Far enough for anything that works, near enough for a test that does not end.
  static var soon: Instant { .now() + .seconds(30) }
  static var eventually: Instant { .now() + .seconds(120) }
}

/// Runs `body` on a reactor of its own.
func onReactor<R: Sendable>(
  _ body: @Sendable (isolated Reactor) async throws -> R
) async throws -> R {
  let reactor = try Reactor.start(name: "test")
  defer { reactor.loop.stop() }
  return try await reactor.run(body)
}

/// The `KubernetesError` that `body` throws; nil when it succeeds.
func failure<R>(_ body: () async throws -> R) async -> KubernetesError? {
  do {
    _ = try await body()
    return nil
  } catch {
    return .wrap(error, "test")
  }
}

/// A folder that goes with the value.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    path =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-kubernetes-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  @discardableResult
  func write(_ name: String, _ text: String, mode: Int = 0o600) throws -> String {
    let file = "\(path)/\(name)"
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    return file
  }
}

extension ClusterConfiguration {
  /// For clients that never connect.
  static let nowhere = ClusterConfiguration(
    name: "nowhere", server: ServerAddress(host: "127.0.0.1", port: 9), credential: .anonymous)
}

func parse(_ text: String) throws -> KubernetesObject {
  KubernetesObject(try JSON(parsing: text))
}
