import JSON

/// Follows an operation to its end, over any number of streams.
struct OperationWatch {
  let gateway: GatewayClient
  let operation: String
  /// Told of every change.
  let report: ProgressReport
  let changed: @Sendable (JSON) throws -> Void

  /// The operation as it is when it is done.
  func untilDone(timeoutSeconds: Int64) async throws -> JSON {
    let (id, report) = (operation, report)
    Interruption.shared.whenInterrupted {
      report.end()
      report.note("stopped waiting; the operation goes on. Follow it: \(Self.followCommand(id))")
    }
    defer {
      Interruption.shared.whenInterrupted(nil)
      report.end()
    }
    return try await withThrowingTaskGroup(of: JSON?.self) { group in
      group.addTask { try await follow() }
      group.addTask {
        try await Task.sleep(for: .seconds(timeoutSeconds))
        throw CommandFailure(
          .timedOut,
          "not done after \(SpanText.text(seconds: Double(timeoutSeconds))) (--timeout); the "
            + "operation goes on. Follow it: \(Self.followCommand(id))")
      }
      if report.isLive {
        group.addTask {
          while true {
            try await Task.sleep(for: .seconds(1))
            report.tick()
          }
        }
      }
      defer { group.cancelAll() }
      while let result = try await group.next() {
        if let result { return result }
      }
      throw CancellationError()
    }
  }

  private static func followCommand(_ id: String) -> String { "storectl operations watch \(id)" }

  private func follow() async throws -> JSON {
    var last = JSON.null
    try await gateway.followStream(
      .get("/v1/operations/\(operation):watch"), note: { report.note($0) },
      take: { message in
        // A new stream begins with what the one before ended with.
        if message != last { try changed(message) }
        last = message
        let progress = OperationProgress(message)
        report.show(progress)
        return progress.isDone
      })
    return last
  }
}
