import Foundation
import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// What tests do with a store, and look for in it.
extension LiveStores.Parts {
  /// Makes the store up to where it is set up.
  func rollOut() async throws {
    try await backend.ensureNamespace(site)
    try await backend.applyCredentials(site)
    try await backend.installRelease(site)
    var last: BackendProgress?
    repeat {
      last = try await backend.rolloutStatus(of: site, after: last)
    } while last?.isDone == false
  }

  /// What a script prints in the pod that visitors reach.
  func inPod(_ script: String) async throws -> String {
    let workload = site.engine.workload
    let pods = try await kubernetes.listAll(
      .pods,
      ObjectSelection(
        namespace: site.namespace, labelSelector: "app.kubernetes.io/name=\(workload)"),
      deadline: .soon)
    return try await kubernetes.exec(
      .script(
        script, namespace: site.namespace, pod: try #require(pods.objects.first?.name),
        container: workload), deadline: .soon
    ).stdoutText
  }

  /// In the release, in arguments and environments of processes, or in files of the pod but the
  /// Secret's own.
  func expectNoSecretLying(
    in folders: String, whileRunning programs: [String], on reactor: Reactor
  ) async throws {
    let secret = try await kubernetes.get(
      .secrets, namespace: site.namespace, name: StoreCredentials.secretName, deadline: .soon)
    let names = site.engine.credentials
    let values = try #require(secret["data"]?.object).members.compactMap { member in
      member.key == names.administrator
        ? nil : member.value.string.flatMap(PaddedBase64.decode)
    }.map { String(decoding: $0, as: UTF8.self) }
    #expect(values.count == names.generated.count)
    let release = try await release()
    #expect(release.contains(site.host), "it was unpacked")
    let processes = try await processesWhileSetUp(on: reactor)
    for program in programs { #expect(processes.contains(program)) }
    for value in values {
      for form in Self.forms(of: value) {
        #expect(!release.contains(form) && !processes.contains(form))
      }
    }
    let patterns = values.joined(separator: "\n")
    let found = try await inPod(
      "grep -rlF -f /dev/stdin \(folders) <<'END' || echo none\n\(patterns)\nEND")
    #expect(found == "none\n")
  }

  /// A secret as it stands, and as base64 of a text shows it, which depends on where it begins there.
  private static func forms(of secret: String) -> [String] {
    [secret]
      + [0, 2, 3].enumerated().map { offset, foreign in
        let bytes = [UInt8](repeating: 0, count: offset) + Array(secret.utf8)
        // Without the characters that hold bits of what stands before and behind it.
        return String(
          Data(bytes).base64EncodedString().prefix(bytes.count * 8 / 6).dropFirst(foreign))
      }
  }

  /// Arguments and environment of every process in the pod, looked at again and again while a set-up
  /// runs there.
  private func processesWhileSetUp(on reactor: Reactor) async throws -> String {
    let parts = self
    let setUp = reactor.loop.spawn(on: reactor) { try? await parts.backend.setUp(parts.site) }
    let seen = try await inPod(
      """
      for i in $(seq 60); do
        for p in /proc/[0-9]*/cmdline /proc/[0-9]*/environ; do
          tr '\\0' ' ' <"$p"; echo
        done
        sleep 0.03
      done 2>/dev/null | sort -u
      """)
    await setUp.value
    return seen
  }

  /// What Helm keeps of the release: gzip in base64, in the Secret's own base64.
  private func release() async throws -> String {
    let records = try await kubernetes.listAll(
      .secrets,
      ObjectSelection(namespace: site.namespace, labelSelector: "owner=helm"), deadline: .soon
    )
    let data = try #require(records.objects.first?["data", "release"]?.string)
    let inner = try #require(PaddedBase64.decode(data))
    let packed = try #require(PaddedBase64.decode(String(decoding: inner, as: UTF8.self)))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    try Data(packed).write(to: file.appendingPathExtension("gz"))
    #expect(shell("gzip -d \(file.path).gz") == 0)
    return try String(contentsOf: file, encoding: .utf8)
  }
}
