import Foundation
import Reactor
import Testing

@testable import Kubernetes

@Suite struct CredentialTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A plugin that is this shell script.
  private func configuration(
    _ script: String, version: String = "v1", extra: String = "", command: String = "/bin/sh"
  ) throws -> ClusterConfiguration {
    // Run by a shell that is there already: a file just written may be held open by another test's
    // child, and then cannot be started itself.
    let file = try folder.write("plugin.sh", "\(script)\n")
    let text = """
      current-context: c
      clusters: [{name: k, cluster: {server: "https://api"}}]
      users:
        - name: u
          user:
            exec:
              command: \(command)
              args: [\(file), --flag]
              env: [{name: GREETING, value: hello}]
              apiVersion: client.authentication.k8s.io/\(version)
              \(extra)
      contexts: [{name: c, context: {cluster: k, user: u}}]
      """
    return try Kubeconfig.parse(text, folder: folder.path).configuration()
  }

  private func credential(_ status: String, version: String = "v1") -> String {
    """
    echo '{"apiVersion":"client.authentication.k8s.io/\(version)","kind":"ExecCredential",\
    "status":\(status)}'
    """
  }

  private func ask(
    _ configuration: ClusterConfiguration,
    limits: ChildProcess.Limits = ChildProcess.Limits()
  ) async throws -> (PresentedCredential, Int) {
    try await onReactor { reactor in
      let source = CredentialSource(
        configuration, reactor: reactor, blocking: BlockingPool(), pluginLimits: limits)
      let credential = try await source.credential()
      return (credential, source.refreshes)
    }
  }

  @Test(arguments: ["v1", "v1beta1"]) func runsThePlugin(version: String) async throws {
    // The plugin says what it was given.
    let script = """
      test "$1" = --flag && test "$GREETING" = hello || exit 9
      case "$KUBERNETES_EXEC_INFO" in *ExecCredential*'"server":"https://api:443"'*) ;; *) exit 8;; esac
      \(credential(#"{"token":"secret-token"}"#, version: version))
      """
    let configuration = try configuration(
      script, version: version, extra: "provideClusterInfo: true")
    #expect(try await ask(configuration).0.authorization == "Bearer secret-token")
  }

  @Test func runsItOnceForManyAndAgainWhenRefused() async throws {
    let counter = "\(folder.path)/count"
    let script = "echo x >>\(counter); \(credential(#"{"token":"t"}"#))"
    let configuration = try configuration(script)
    try await onReactor { reactor in
      let source = CredentialSource(
        configuration, reactor: reactor, blocking: BlockingPool())
      var tasks: [Task<Void, Never>] = []
      for _ in 0..<20 {
        tasks.append(
          reactor.loop.spawn(on: reactor) {
            #expect((try? await source.credential().authorization) == "Bearer t")
          })
      }
      for task in tasks { await task.value }
      #expect(source.refreshes == 1)
      let credential = try await source.credential()
      #expect(source.refreshes == 1)
      source.refused(credential)
      _ = try await source.credential()
      #expect(source.refreshes == 2)
    }
    #expect(try String(contentsOfFile: counter, encoding: .utf8) == "x\nx\n")
  }

  @Test func asksAgainAfterExpiry() async throws {
    let expired = credential(#"{"token":"t","expirationTimestamp":"2020-01-01T00:00:00Z"}"#)
    let configuration = try configuration(expired)
    let error = await failure { try await ask(configuration) }
    #expect(error?.message.contains("has expired already") == true)
  }

  @Test(arguments: [
    ("exit 3", "failed with exit code 3"),
    ("echo 'log in first' >&2; exit 1", "log in first"),
    ("kill -9 $$", "exit code 137"),
    ("echo nonsense", "did not print an ExecCredential"),
    ("sleep 60", "gave no answer within 300 ms"),
    ("sleep 60 >/dev/null 2>&1 & exec >&- 2>&-; sleep 60", "gave no answer within 300 ms"),
    ("head -c 100000 /dev/zero", "printed more than 65536 bytes"),
  ])
  func saysHowThePluginFailed(script: String, words: String) async throws {
    var limits = ChildProcess.Limits()
    limits.deadlineMilliseconds = script.contains("sleep") ? 300 : 20_000
    limits.outputBytesMax = 65_536
    let configuration = try configuration(script)
    let error = await failure { try await ask(configuration, limits: limits) }
    #expect(error?.kind == .configuration)
    #expect(error?.message.contains(words) == true, "\(error?.message ?? "nil")")
  }

  @Test(arguments: [
    (#"{}"#, "neither a token nor a certificate"),
    (#"{"clientKeyData":"hunter2"}"#, "only one of"),
    (#"{"token":"hunter2","expirationTimestamp":"tomorrow"}"#, "is no time"),
  ])
  func saysWhatIsWrongWithTheAnswer(status: String, words: String) async throws {
    let configuration = try configuration(credential(status))
    let error = await failure { try await ask(configuration) }
    #expect(error?.message.contains(words) == true, "\(error?.message ?? "nil")")
    #expect(error?.message.contains("hunter2") == false)
  }

  @Test func leavesAFailedPluginAloneForAWhile() async throws {
    let configuration = try configuration("exit 1")
    try await onReactor { reactor in
      let source = CredentialSource(
        configuration, reactor: reactor, blocking: BlockingPool())
      for _ in 0..<3 {
        let error = await failure { try await source.credential() }
        #expect(error?.kind == .configuration)
      }
      #expect(source.refreshes == 1)
    }
  }

  @Test func refusesOtherVersionsAndTerminals() throws {
    #expect(throws: ClusterConfigurationError.self) {
      try configuration("exit 0", version: "v1alpha1")
    }
    #expect(throws: ClusterConfigurationError.self) {
      try configuration("exit 0", extra: "interactiveMode: Always")
    }
  }

  @Test func saysWhereAPluginIsMissing() async throws {
    let configuration = try configuration(
      "exit 0", extra: "installHint: install it", command: "./missing")
    let error = await failure { try await ask(configuration) }
    #expect(error?.message.contains("\(folder.path)/./missing cannot be started") == true)
    #expect(error?.message.contains("install it") == true)
  }

  @Test func readsATokenFileAgain() async throws {
    let path = try folder.write("token", "first\n")
    var configuration = ClusterConfiguration.nowhere
    configuration.credential = .tokenFile(path: path)
    try await onReactor { [configuration, folder] reactor in
      let source = CredentialSource(
        configuration, reactor: reactor, blocking: BlockingPool())
      let first = try await source.credential()
      #expect(first.authorization == "Bearer first")
      try folder.write("token", "second\n")
      #expect(try await source.credential() == first)
      source.refused(first)
      #expect(try await source.credential().authorization == "Bearer second")
      try folder.write("token", " \n")
      source.refused(try await source.credential())
      let error = await failure { try await source.credential() }
      #expect(error?.kind == .configuration)
    }
  }
}
