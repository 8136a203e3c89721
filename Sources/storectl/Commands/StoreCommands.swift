import ArgumentParser
import JSON

struct StoresCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stores", abstract: "Create, show, change and delete stores.",
    subcommands: [
      CreateStore.self, ListStores.self, GetStore.self, WatchStore.self, RetryStore.self,
      UpdateStore.self, UpgradeStore.self, RollbackStore.self, ListReleases.self, SuspendStore.self,
      ResumeStore.self, BackupStore.self, RestoreStore.self, DeleteStore.self,
    ])
}

enum Engine: String, CaseIterable, ExpressibleByArgument {
  case woocommerce, medusa
}

struct CreateStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Ask for a store.",
    discussion: """
      Returns at once with the operation that makes the store, or with --wait when it is ready:
        storectl stores create --name demo --engine woocommerce --title 'Demo Shop' --wait
        storectl stores create --name demo --engine woocommerce --set wordpress.replicas=2

      With --wait and -o json or yaml the result is the store. Asking again for a store that failed, \
      with the same options, tries again.
      """)

  @Option(help: "The name: lowercase letters, digits and inner hyphens, a letter first.")
  var name: String
  @Option(help: "What the store runs on: woocommerce or medusa.") var engine: Engine
  @Option(help: "The title of the front page; the name when absent.") var title: String?
  @Option(help: "Where the store's own mail goes.") var adminEmail: String?
  @Option(help: "The plan that sets the store's size.") var plan: String?
  @Option(
    help: ArgumentHelp(
      "A further value of the store's chart, JSON or text; can be repeated. Not for secrets.",
      valueName: "path=value"))
  var set: [String] = []
  @Option(help: "What is done about drift: correct, which is the default, or report.")
  var drift: DriftPolicy?
  @Option(
    help: ArgumentHelp(
      "How often it is backed up by itself: such as 12h or 7d, never, or default, which is the default.",
      valueName: "interval"))
  var backupInterval: BackupInterval?
  @Option(help: "The cluster to make it on; one that has room when absent.") var cluster: String?
  @Option(
    help: ArgumentHelp(
      "A label that the cluster must have; can be repeated.", valueName: "key=value"))
  var clusterLabel: [ClusterLabel] = []
  @Option(help: "The id of a backup that the data is taken from; the engine is the same.")
  var fromBackup: String?
  @Flag(help: "Only check what is asked for.") var validateOnly = false
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if validateOnly && waiting.wait {
      throw ValidationError("--wait has nothing to wait for with --validate-only")
    }
  }

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    body["name"] = .string(name)
    body["engine"] = .string(EnumName.long(engine.rawValue, "ENGINE"))
    body["parameters"] = try parameters()
    body["driftPolicy"] = drift.map { .string(EnumName.long($0.rawValue, "DRIFT_POLICY")) }
    body["backupSchedule"] = backupInterval?.document
    body["cluster"] = cluster.map { .string($0) }
    body["clusterLabels"] = clusterLabel.document
    body["fromBackup"] = fromBackup.map { .string($0) }
    if validateOnly { body["validateOnly"] = true }
    let operation = try await gateway.call(.post("/v1/stores", once: body))
    if validateOnly {
      try output.show(operation) { ["the request is good; nothing was done"] }
    } else {
      try await output.follow(operation, of: name, waiting, gateway)
    }
  }

  private func parameters() throws(CommandFailure) -> JSON? {
    var parameters = JSONObject()
    parameters["title"] = title.map { .string($0) }
    parameters["adminEmail"] = adminEmail.map { .string($0) }
    parameters["plan"] = plan.map { .string($0) }
    if !set.isEmpty { parameters["values"] = .object(try SettingChange.tree(ofArguments: set)) }
    return parameters.isEmpty ? nil : .object(parameters)
  }
}

struct ListStores: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the stores, the newest first.",
    discussion: "Deleted stores are listed with --state deleted only.")

  @Option(help: "Only stores in this state, such as ready or failed; can be repeated.")
  var state: [String] = []
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let states = state.map { (name: "states", value: EnumName.long($0, "STATE")) }
    let stores = try await gateway.list("/v1/stores", "stores", states)
    var table = Table(["NAME", "ENGINE", "STATE", "ADDRESS", "CREATED", "ID"])
    for store in stores.elements {
      let state = EnumName.short(store["state"].text, "STATE")
      table.add([
        .init(store["name"].text, .bold), .init(EnumName.short(store["engine"].text, "ENGINE")),
        .init(state, EnumName.style(ofState: state)), .init(store["url"].text),
        .init(store["createTime"].text.asLocalTime), .init(store["id"].text),
      ])
    }
    try output.show(stores.document, as: table)
  }
}

struct GetStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Show a store.")

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try output.describeStore(try await gateway.call(.get("/v1/stores/\(store)")))
  }
}

struct RetryStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "retry", abstract: "Try again to make a store that failed.",
    discussion: "  storectl stores retry demo --wait")

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let operation = try await gateway.call(.post("/v1/stores/\(store):retry", once: JSONObject()))
    try await output.follow(operation, of: store, waiting, gateway)
  }
}
