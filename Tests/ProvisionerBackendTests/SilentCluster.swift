import CLinux
import Contracts
import Foundation
import Glibc
import Reactor
import Synchronization

/// An API server that takes connections and says nothing.
final class SilentCluster: Sendable {
  private let descriptor: Int32
  private let kubeconfig: String
  private let connections = Mutex<[Int32]>([])

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
        _ = listen(descriptor, 1024)
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
    for connection in connections.withLock({ $0 }) { close(connection) }
    try? FileManager.default.removeItem(atPath: kubeconfig)
  }

  func release(_ namespace: String = "n") -> HelmWorkerV1.UninstallRequest {
    .init(release: reference(namespace))
  }

  func upgrade(_ namespace: String = "n") -> HelmWorkerV1.UpgradeRequest {
    .init(release: reference(namespace), chartPath: Checkout.chart, install: true)
  }

  private func reference(_ namespace: String) -> HelmWorkerV1.ReleaseReference {
    .init(kubeconfigPath: kubeconfig, kubeconfigContext: "", namespace: namespace, name: "store")
  }

  /// Returns when so many connections were made.
  func called(_ count: Int, on reactor: Reactor) async {
    let end = connections.withLock { $0.count } + count
    while acceptAll() < end { await pause(on: reactor) }
  }

  /// Refuses what was asked and is asked, until it is over.
  func refuse(until isOver: () -> Bool, on reactor: Reactor) async {
    let answer = Array("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".utf8)
    var question = [UInt8](repeating: 0, count: 65_536)
    while !isOver() {
      _ = acceptAll()
      for connection in connections.withLock({ $0 })
      where recv(connection, &question, question.count, Int32(MSG_DONTWAIT)) > 0 {
        _ = send(connection, answer, answer.count, Int32(MSG_NOSIGNAL))
      }
      await pause(on: reactor)
    }
  }

  /// How many connections were made by now.
  private func acceptAll() -> Int {
    connections.withLock { connections in
      while true {
        let connection = accept(descriptor, nil, nil)
        if connection < 0 { return connections.count }
        connections.append(connection)
      }
    }
  }

  private func pause(on reactor: Reactor) async {
    let onCancel = {}
    await suspended(on: reactor, onCancel: onCancel) { (resumption: Resumption<Void>) in
      reactor.loop.schedule(after: .milliseconds(5)) { resumption.resume(()) }
    }
  }
}
