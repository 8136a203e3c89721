import JSON
import Reactor
import Testing

@testable import Kubernetes

@Suite(.enabled(if: LiveCluster.isThere), .serialized) struct LiveExecTests {
  private func start(_ client: KubernetesClient, _ namespace: String) async throws {
    try await client.create(
      .pods, namespace: namespace, LiveCluster.pod("shell"), deadline: .soon)
    let pods = try client.watch(.pods, namespace: namespace)
    let subscription = try pods.subscribe()
    _ = try await waitFor(subscription) {
      pods.object(namespace: namespace, name: "shell").map(PodView.init).flatMap {
        $0.isReady ? true : nil
      }
    }
    subscription.cancel()
  }

  private func request(
    _ namespace: String, _ command: [String], stdin: [UInt8] = []
  ) -> ExecRequest {
    ExecRequest(
      namespace: namespace, pod: "shell", container: "app", command: command, stdin: stdin)
  }

  @Test func runsCommandsAndScripts() async throws {
    try await LiveCluster.withNamespace { reactor, client, namespace in
      try await start(client, namespace)
      let plain = try await client.exec(
        request(namespace, ["sh", "-c", "echo out; echo err >&2; exit 3"]), deadline: .soon)
      #expect(plain.stdoutText == "out\n" && plain.stderrText == "err\n" && plain.exitCode == 3)

      let script = try await client.exec(
        .script(
          "cat; echo done\nexit 0", namespace: namespace, pod: "shell", container: "app"),
        deadline: .soon)
      #expect(script.stdoutText == "done\n" && script.exitCode == 0)
      let failing = try await client.exec(
        .script("set -e\nfalse\necho no", namespace: namespace, pod: "shell", container: "app"),
        deadline: .soon)
      #expect(failing.exitCode == 1 && failing.stdoutText == "")

      // Nothing of a script stands in a process's arguments.
      let arguments = try await client.exec(
        .script(
          "secret=hunter2; cat /proc/[0-9]*/cmdline", namespace: namespace, pod: "shell",
          container: "app"), deadline: .soon)
      #expect(arguments.stdoutText.contains("sleep"))
      #expect(!arguments.stdoutText.contains("hunter2"))

      // The exit code says success, the last line is missing.
      var lost = request(namespace, ["sh", "-c", "echo almost"])
      lost.sentinel = "end"
      let interrupted = await failure { try await client.exec(lost, deadline: .soon) }
      #expect(interrupted?.kind == .commandInterrupted && interrupted?.isRetryable == true)
    }
  }

  @Test func carriesMuchBothWays() async throws {
    try await LiveCluster.withNamespace { reactor, client, namespace in
      try await start(client, namespace)
      let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
      var echo = request(namespace, ["head", "-c", String(input.count)], stdin: input)
      echo.outputBytesMax = 4_000_000
      let result = try await client.exec(echo, deadline: .eventually)
      #expect(result.stdout == input && result.exitCode == 0)

      let body = String(repeating: "# padding of the script\n", count: 10_000)
      let script = try await client.exec(
        .script(
          body + "echo end", namespace: namespace, pod: "shell", container: "app"),
        deadline: .soon)
      #expect(script.stdoutText == "end\n")

      let tooMuch = await failure {
        try await client.exec(
          request(namespace, ["head", "-c", "2000000", "/dev/zero"]), deadline: .soon)
      }
      #expect(tooMuch?.kind == .limitReached)
    }
  }

  @Test func endsEarly() async throws {
    try await LiveCluster.withNamespace { reactor, client, namespace in
      try await start(client, namespace)
      let late = await failure {
        try await client.exec(
          request(namespace, ["sleep", "600"]), deadline: .now() + .milliseconds(500))
      }
      #expect(late?.kind == .commandInterrupted && late?.isClusterFailure == false)
      var error: KubernetesError?
      let sleeping = request(namespace, ["sleep", "600"])
      let task = reactor.loop.spawn(on: reactor) {
        error = await failure { try await client.exec(sleeping, deadline: .soon) }
      }
      task.cancel()
      await task.value
      #expect(error?.kind == .cancelled && client.execsRunning == 0)

      let missing = await failure {
        try await client.exec(
          ExecRequest(namespace: namespace, pod: "nobody", container: "app", command: ["true"]),
          deadline: .soon)
      }
      #expect(missing?.kind == .notFound)
      let noProgram = await failure {
        try await client.exec(request(namespace, ["/no/such/program"]), deadline: .soon)
          .requireSuccess()
      }
      #expect(noProgram != nil && noProgram?.isRetryable != nil)
      client.execsRunning = client.limits.execsMax
      let full = await failure {
        try await client.exec(request(namespace, ["true"]), deadline: .soon)
      }
      #expect(full?.kind == .limitReached)
      client.execsRunning = 0
    }
  }
}
