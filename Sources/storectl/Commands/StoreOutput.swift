import JSON

/// How often it is backed up by itself, and when next.
private func backups(of store: JSON) -> String {
  let due = store["backupDueTime"].text.asLocalTime
  return BackupInterval(of: store["backupSchedule"]).words + (due.isEmpty ? "" : ", next \(due)")
}

extension Output {
  func describeStore(_ store: JSON) throws {
    let state = EnumName.short(store["state"].text, "STATE")
    var members: [(name: String, cell: Table.Cell)] = [
      ("name", .init(store["name"].text)),
      ("id", .init(store["id"].text)),
      ("engine", .init(EnumName.short(store["engine"].text, "ENGINE"))),
      ("state", .init(state, EnumName.style(ofState: state))),
      ("address", .init(store["url"].text)),
      ("title", .init(store["parameters"]["title"].text)),
      ("admin mail", .init(store["parameters"]["adminEmail"].text)),
      ("plan", .init(store["parameters"]["plan"].text)),
      ("release", .init(store["release"].integer > 0 ? "\(store["release"].integer)" : "")),
      ("drift", .init(EnumName.short(store["driftPolicy"].text, "DRIFT_POLICY"))),
      ("backups", .init(backups(of: store))),
      ("cluster", .init(store["cluster"].text)),
      ("namespace", .init(store["namespace"].text)),
      ("operation", .init(store["operation"].text)),
      ("created", .init(store["createTime"].text.asLocalTime)),
      ("ready", .init(store["readyTime"].text.asLocalTime)),
      ("deleted", .init(store["deleteTime"].text.asLocalTime)),
    ]
    if let error = OperationError(store["error"]) {
      members.append(("error", .init(error.text, .red)))
    }
    for condition in store["conditions"].array ?? [] {
      let status = EnumName.short(condition["status"].text, "STATUS")
      let message = condition["message"].text
      members.append(
        (
          condition["type"].text.printable,
          .init(message.isEmpty ? status : "\(status): \(message)")
        ))
    }
    try describe(store, members)
  }

  /// Shows an operation that was just begun; waits for its end where that is wanted.
  func follow(
    _ operation: JSON, of store: String, _ waiting: WaitOptions, _ gateway: GatewayClient
  ) async throws {
    let progress = OperationProgress(operation)
    guard waiting.wait else {
      try show(operation) {
        [
          "\(progress.kind) of \(store.printable) begun: storectl operations watch "
            + progress.id.printable
        ]
      }
      return
    }
    let report = ProgressReport(on: messages)
    report.show(progress)
    let watch = OperationWatch(gateway: gateway, operation: progress.id, report: report) { _ in }
    let done = try await watch.untilDone(timeoutSeconds: waiting.timeout.seconds)
    try await finish(done, of: store, gateway)
  }

  /// What came of it: the store as it is now, or why there is none.
  private func finish(_ operation: JSON, of store: String, _ gateway: GatewayClient) async throws {
    let progress = OperationProgress(operation)
    try progress.requireSuccess(of: store)
    if progress.kind == "delete" {
      return try show(operation) { ["\(store.printable) is deleted"] }
    }
    let found = try await gateway.call(.get("/v1/stores/\(progress.store)"))
    let name = found["name"].text.printable
    try show(found) {
      switch progress.kind {
      case "provision": ["\(name) is ready: \(found["url"].text.printable)"]
      case "backup":
        ["\(name) is backed up as \(progress.backup.printable)"]
      case "backup test": ["a store can be brought to \(progress.backup.printable)"]
      case "restore": ["\(name) has the data of \(progress.backup.printable)"]
      case "suspend": ["\(name) is suspended; storectl stores resume \(name) starts it again"]
      default: ["\(name) runs release \(found["release"].integer): \(found["url"].text.printable)"]
      }
    }
  }
}

extension OperationProgress {
  /// Throws the precise failure of an operation that is done and has not succeeded.
  func requireSuccess(of store: String) throws(CommandFailure) {
    if state == "succeeded" { return }
    let step = steps.first { $0.state == "failed" }?.name
    var lines = ["\(kind) of \(store) \(state)" + (step.map { " at the step \($0)" } ?? "")]
    if let error { lines.append("  " + error.text) }
    if state == "failed", kind == "backup test" {
      lines.append("See what came of it: storectl backups describe \(backup)")
    } else if state == "failed" {
      lines.append(
        (error?.isRetryable == false && kind != "delete"
          ? "Correct the cause, then: " : "Try again: ")
          + "storectl stores \(nextCommand(for: store)) --wait")
    }
    let hasActed = steps.contains { $0.name == "release" && $0.attempts > 0 }
    if hasActed, kind == "upgrade" || kind == "suspend" {
      lines.append("The store goes back to its release first: storectl stores get \(store)")
    }
    lines.append("operation \(id)")
    throw CommandFailure(.failed, lines.map(\.printable).joined(separator: "\n"))
  }

  private func nextCommand(for store: String) -> String {
    switch kind {
    case "provision": "retry \(store)"
    case "rollback": "rollback \(store) --to \(release)"
    case "upgrade": "upgrade \(store) [--set as before]"
    case "restore": "restore \(store) --backup \(backup)"
    // A store whose deletion failed can only be deleted.
    default: "\(kind) \(store)"
    }
  }
}
