import ArgumentParser
import JSON

struct OperationsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "operations", abstract: "The work that is done on stores.",
    subcommands: [List.self, Get.self, Watch.self, Cancel.self])

  struct List: GatewayCommand {
    private static let limitMax = 10_000

    static let configuration = CommandConfiguration(
      abstract: "List operations, the newest first.")

    @Option(help: "Only the operations of this store: its name or id.") var store: String?
    @Option(help: "Only operations in this state, such as running or failed; can be repeated.")
    var state: [String] = []
    @Option(help: "The most to list.") var limit = 50
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard (1...Self.limitMax).contains(limit) else {
        throw ValidationError("--limit: give 1 to \(Self.limitMax)")
      }
    }

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      var query = state.map { (name: "states", value: EnumName.long($0, "STATE")) }
      if let store { query.append(("store", store)) }
      let operations = try await gateway.list(
        "/v1/operations", "operations", query, limit: limit)
      var table = Table(["ID", "STORE", "KIND", "STATE", "DONE", "BEGUN", "ERROR"])
      for document in operations.elements {
        let operation = OperationProgress(document)
        table.add([
          .init(operation.id), .init(operation.store), .init(operation.kind),
          .init(operation.state, EnumName.style(ofState: operation.state)),
          .init("\(operation.percent) %"), .init(document["createTime"].text.asLocalTime),
          .init(operation.error?.code ?? ""),
        ])
      }
      try output.show(operations.document, as: table)
    }
  }

  struct Get: GatewayCommand {
    static let configuration = CommandConfiguration(abstract: "Show an operation and its steps.")

    @Argument(help: "The operation's id.") var operation: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let document = try await gateway.call(.get("/v1/operations/\(operation)"))
      try output.describeOperation(document)
    }
  }

  struct Watch: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Follow an operation to its end.",
      discussion: """
        Ends with exit code 0 when the operation succeeded and 1 when it did not. With -o json one \
        line a change, with -o yaml one document a change.
        """)

    @Argument(help: "The operation's id.") var operation: String
    @Option(help: ArgumentHelp("The longest wait, such as 90s or 15m.", valueName: "time"))
    var timeout = Span(seconds: 5400)
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      // What is wrong with the call is told now; the watch itself waits for better times.
      _ = try await gateway.call(.get("/v1/operations/\(operation)"))
      let report = ProgressReport(on: output.format == .table ? output.results : output.messages)
      let watch = OperationWatch(gateway: gateway, operation: operation, report: report) {
        if output.format != .table { try output.showNext($0) { [] } }
      }
      let done = OperationProgress(
        try await watch.untilDone(timeoutSeconds: timeout.seconds))
      try done.requireSuccess(of: done.store)
    }
  }
}

extension OperationsCommand {
  struct Cancel: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Stop the work on a store.",
      discussion: """
        A store whose provisioning is stopped is failed with the code CANCELLED: retry or delete it. \
        One whose upgrade or suspension is stopped goes back to its release. One whose rollback or \
        resumption is stopped stays as it is then: roll it back, resume or upgrade it. A deletion, a \
        restore and the way back from an upgrade cannot be stopped. Follow with 'storectl operations \
        watch'.
        """)

    @Argument(help: "The operation's id.") var operation: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let document = try await gateway.call(
        GatewayRequest(
          method: "POST", path: "/v1/operations/\(operation):cancel", body: .object(JSONObject()),
          isRepeatable: true))
      try output.describeOperation(document)
    }
  }
}

extension Output {
  fileprivate func describeOperation(_ document: JSON) throws {
    let operation = OperationProgress(document)
    var members: [(name: String, cell: Table.Cell)] = [
      ("id", .init(operation.id)),
      ("kind", .init(operation.kind)),
      ("store", .init(operation.store)),
      ("state", .init(operation.state, EnumName.style(ofState: operation.state))),
      ("done", .init("\(operation.percent) %")),
      ("begun", .init(document["createTime"].text.asLocalTime)),
      ("ended", .init(document["endTime"].text.asLocalTime)),
      ("request", .init(document["requestId"].text)),
    ]
    if let error = operation.error { members.append(("error", .init(error.text, .red))) }
    for change in operation.steps.map(\.change) {
      let text = change.text.isEmpty ? change.state : "\(change.state), \(change.text)"
      members.append(
        ("step \(change.subject)", .init(text, EnumName.style(ofState: change.state))))
    }
    try describe(document, members)
  }
}
