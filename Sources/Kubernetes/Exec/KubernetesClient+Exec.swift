import HTTP
package import Reactor

extension KubernetesClient {
  /// Runs a command in a container and returns how it ended; see `ExecResult.requireSuccess`.
  ///
  /// Throws `commandInterrupted` (to be tried again) where its end was not seen: the connection was
  /// lost, the sentinel is missing, or the deadline passed, which stops us but perhaps not the command.
  package func exec(
    _ request: ExecRequest, deadline: Instant
  ) async throws(KubernetesError) -> ExecResult {
    reactor.loop.checkIsolated()
    guard execsRunning < limits.execsMax else {
      throw KubernetesError(
        .limitReached,
        "\(execsRunning) commands run in cluster \(configuration.name) (execsMax): try again later")
    }
    execsRunning += 1
    defer { execsRunning -= 1 }
    let first = try await credential()
    do throws(KubernetesError) {
      return try await exec(request, first, deadline)
    } catch {
      guard error.kind == .unauthorized, credentials.isRenewable else { throw error }
      credentials.refused(first)
    }
    return try await exec(request, try await credential(), deadline)
  }

  private func exec(
    _ request: ExecRequest, _ credential: PresentedCredential, _ deadline: Instant
  ) async throws(KubernetesError) -> ExecResult {
    let tls = try tls(for: credential, protocols: ["http/1.1"])
    let addresses = try await addresses()
    var failure = KubernetesError(.transport, "exec: no address")
    for address in addresses {
      let end = await run(request, credential, tls, address, deadline)
      switch end.result {
      case .success(let outcome): return try outcome.result(connectionEnd: end.reason)
      case .failure(let error):
        // A further address is worth a try only where nothing was reached at this one.
        if end.wasReached || error.kind != .transport { throw error }
        failure = error
      }
    }
    throw failure
  }

  private func addresses() async throws(KubernetesError) -> [SocketAddress] {
    do {
      return try await NameResolver(blocking: blocking).resolve(
        configuration.server.host, port: configuration.server.port)
    } catch {
      throw .wrap(error, "exec")
    }
  }

  private func run(
    _ request: ExecRequest, _ credential: PresentedCredential, _ tls: TLSContext,
    _ address: SocketAddress, _ deadline: Instant
  ) async -> ExecConnection.End {
    let head = execHead(request, credential)
    let cancelled = KubernetesError(.cancelled, "exec: cancelled; the command may run on")
    // Set within the suspension, which both ends of the command's life must reach.
    var running: ExecConnection?
    var isCancelled = false
    var timer: LoopTimer?
    let loop = reactor.loop
    let ended = await suspended(on: reactor) {
      isCancelled = true
      running?.abandon(cancelled)
    } _: { (resumption: Resumption<ExecConnection.End>) in
      let exec = ExecConnection(self.reactor, head, request) { resumption.resume($0) }
      if isCancelled { return exec.abandon(cancelled) }
      running = exec
      timer = loop.schedule(at: deadline) {
        exec.abandon(
          KubernetesError(
            .commandInterrupted,
            "exec: the command did not end before the deadline; it may run on"))
      }
      do {
        try exec.start(
          Connection(
            to: address, loop: loop, limits: self.limits.connection, tls: tls,
            expecting: self.expectedServer))
      } catch {
        exec.abandon(KubernetesError(.transport, "exec: \(error)"))
      }
    }
    if let timer { loop.cancel(timer) }
    return ended
  }

  private func execHead(
    _ exec: ExecRequest, _ credential: PresentedCredential
  ) -> HTTPRequestHead {
    var request = Request(
      path: ResourceKind.pods.path(
        namespace: exec.namespace, name: exec.pod, subresource: "exec"))
    request.query = [
      ("container", exec.container), ("stdin", String(!exec.stdin.isEmpty)), ("stdout", "true"),
      ("stderr", "true"), ("tty", "false"),
    ]
    request.query += exec.command.map { ("command", $0) }
    request.accept = "*/*"
    return head(request, credential)
  }
}
