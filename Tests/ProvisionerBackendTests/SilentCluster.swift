import CLinux
import Contracts
import Foundation
import Glibc
import Reactor

/// An API server that takes connections and says nothing.
final class SilentCluster: Sendable {
  private let descriptor: Int32
  private let kubeconfig: String

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        _ = bind(descriptor, $0, size)
        _ = listen(descriptor, 16)
        _ = getsockname(descriptor, $0, &size)
      }
    }
    let text = """
      {"apiVersion": "v1", "kind": "Config", "current-context": "silent", "clusters": [{"name":
      "silent", "cluster": {"server": "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"}}],
      "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "nobody"}}],
      "users": [{"name": "nobody", "user": {}}]}
      """
    kubeconfig =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-silent-\(UUID().uuidString)").path
    try text.write(toFile: kubeconfig, atomically: true, encoding: .utf8)
  }

  deinit {
    close(descriptor)
    try? FileManager.default.removeItem(atPath: kubeconfig)
  }

  func release(_ namespace: String = "n") -> HelmWorkerV1.UninstallRequest {
    .init(
      release: .init(
        kubeconfigPath: kubeconfig, kubeconfigContext: "", namespace: namespace, name: "store"))
  }

  /// Returns when so many connections were made.
  func called(_ count: Int, on reactor: Reactor) async {
    var connections: [Int32] = []
    let onCancel = {}
    while connections.count < count {
      let connection = accept(descriptor, nil, nil)
      if connection >= 0 {
        connections.append(connection)
      } else {
        await suspended(on: reactor, onCancel: onCancel) { (resumption: Resumption<Void>) in
          reactor.loop.schedule(after: .milliseconds(5)) { resumption.resume(()) }
        }
      }
    }
  }
}
