import ArgumentParser
import JSON

struct BackupStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup", abstract: "Copy a store's database and files to where backups are kept.",
    discussion: """
      The store serves meanwhile. 'storectl backups list' shows what there is:
        storectl stores backup demo --wait
      """)

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try await output.change(store, "backup", JSONObject(), waiting, gateway)
  }
}

struct RestoreStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Bring a store's data to what a backup has.",
    discussion: """
      What the store has now is gone, and it serves nothing meanwhile. Asks first on a terminal; \
      elsewhere --yes is needed:
        storectl stores restore demo --backup 0c2f6c1e-... --yes --wait

      For a store of its own: storectl stores create --from-backup 0c2f6c1e-...
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Option(help: "The backup's id, as 'storectl backups list' has it.") var backup: String
  @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    if !yes {
      try output.requireSomebodyToAsk()
      let found = try await gateway.call(.get("/v1/backups/\(backup)"))
      let time = found["endTime"].text.asLocalTime
      try output.confirm("Replace all data of \(store) by that of \(time)?")
    }
    var body = JSONObject()
    body["backup"] = .string(backup)
    try await output.change(store, "restore", body, waiting, gateway)
  }
}

struct BackupsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backups", abstract: "The backups of stores.",
    subcommands: [List.self, Describe.self, Test.self, Delete.self])

  struct List: GatewayCommand {
    private static let limitMax = 10_000

    static let configuration = CommandConfiguration(
      abstract: "List backups, the newest first.",
      discussion: "Those of deleted stores are listed too.")

    @Option(help: "Only the backups of this store: its name or id.") var store: String?
    @Option(help: "The most to list.") var limit = 50
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
      guard (1...Self.limitMax).contains(limit) else {
        throw ValidationError("--limit: give 1 to \(Self.limitMax)")
      }
    }

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let query = store.map { [(name: "store", value: $0)] } ?? []
      let backups = try await gateway.list("/v1/backups", "backups", query, limit: limit)
      var table = Table(["ID", "STORE", "ENGINE", "STATE", "MADE", "BYTES", "SHA-256", "TEST"])
      for backup in backups.elements {
        let state = EnumName.short(backup["state"].text, "STATE")
        table.add([
          .init(backup["id"].text), .init(backup["storeName"].text),
          .init(EnumName.short(backup["engine"].text, "ENGINE")),
          .init(state, EnumName.style(ofState: state)),
          .init(backup["endTime"].text.asLocalTime), .init(bytes(of: backup)),
          .init(String(backup["sha256"].text.prefix(12))), test(of: backup),
        ])
      }
      try output.show(backups.document, as: table)
    }
  }

  struct Describe: GatewayCommand {
    static let configuration = CommandConfiguration(abstract: "Show a backup.")

    @Argument(help: "The backup's id.") var backup: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      try output.describeBackup(try await gateway.call(.get("/v1/backups/\(backup)")))
    }
  }

  struct Test: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "See whether a store can be brought to a backup.",
      discussion: """
        It is brought back in a database of its own, beside the store that it is of, which serves \
        meanwhile and is not touched:
          storectl backups test 0c2f6c1e-... --wait
        """)

    @Argument(help: "The backup's id.") var backup: String
    @OptionGroup var waiting: WaitOptions
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let operation = try await gateway.call(
        .post("/v1/backups/\(backup):test", once: JSONObject()))
      try await output.follow(operation, of: backup, waiting, gateway)
    }
  }

  struct Delete: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a backup.",
      discussion: """
        Asks first on a terminal; elsewhere --yes is needed. It is gone from the list when its file is.
        """)

    @Argument(help: "The backup's id.") var backup: String
    @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      if !yes {
        try output.requireSomebodyToAsk()
        let found = try await gateway.call(.get("/v1/backups/\(backup)"))
        let time = found["endTime"].text.asLocalTime
        try output.confirm("Delete the backup of \(found["storeName"].text) of \(time)?")
      }
      var request = GatewayRequest.get("/v1/backups/\(backup)")
      request.method = "DELETE"
      try output.describeBackup(try await gateway.call(request))
    }
  }
}

private func bytes(of backup: JSON) -> String {
  let bytes = backup["sizeBytes"].integer
  return bytes == 0 ? "" : String(bytes)
}

/// What came of the last test of it.
private func test(of backup: JSON) -> Table.Cell {
  if backup["testTime"].text.isEmpty { return .init("") }
  let error = OperationError(backup["testError"])
  return error == nil ? .init("good", .green) : .init(backup["testError"]["code"].text, .red)
}

extension Output {
  fileprivate func describeBackup(_ document: JSON) throws {
    let state = EnumName.short(document["state"].text, "STATE")
    var members: [(name: String, cell: Table.Cell)] = [
      ("id", .init(document["id"].text)),
      ("store", .init("\(document["storeName"].text) (\(document["store"].text))")),
      ("engine", .init(EnumName.short(document["engine"].text, "ENGINE"))),
      ("state", .init(state, EnumName.style(ofState: state))),
      ("chart", .init(document["chart"].text)),
      ("begun", .init(document["createTime"].text.asLocalTime)),
      ("made", .init(document["endTime"].text.asLocalTime)),
      ("bytes", .init(bytes(of: document))),
      ("sha-256", .init(document["sha256"].text)),
      ("operation", .init(document["operation"].text)),
      ("tested", .init(document["testTime"].text.asLocalTime)),
    ]
    if let error = OperationError(document["testError"]) {
      members.append(("test error", .init(error.text, .red)))
    }
    try describe(document, members)
  }
}
