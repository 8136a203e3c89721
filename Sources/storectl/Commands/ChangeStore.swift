import ArgumentParser
import JSON

/// What is done where that which runs of a store is not what its release says.
enum DriftPolicy: String, ExpressibleByArgument, CaseIterable { case correct, report }

struct UpdateStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "update", abstract: "Change how the platform looks after a store.",
    discussion: """
      What runs of a ready store is held against its release now and then. What somebody changed by \
      hand is taken back (correct), or told by the condition Drifted alone (report):
        storectl stores update demo --drift report

      A store is backed up by itself as often as the platform does so (default), or at an interval of its \
      own, an hour (1h) to 30 days (30d), or not at all (never):
        storectl stores update demo --backup-interval 12h
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Option(help: "What is done about drift: correct or report.") var drift: DriftPolicy?
  @Option(
    help: ArgumentHelp(
      "How often it is backed up by itself: such as 12h or 7d, default or never.",
      valueName: "interval"))
  var backupInterval: BackupInterval?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if drift == nil, backupInterval == nil {
      throw ValidationError("give what is to change: --drift, --backup-interval")
    }
  }

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    body["driftPolicy"] = drift.map { .string(EnumName.long($0.rawValue, "DRIFT_POLICY")) }
    body["backupSchedule"] = backupInterval?.document
    let found = try await gateway.call(
      GatewayRequest(
        method: "PATCH", path: "/v1/stores/\(store)", body: .object(body), isRepeatable: true))
    try output.show(found) {
      let drift = EnumName.short(found["driftPolicy"].text, "DRIFT_POLICY")
      let interval = BackupInterval(of: found["backupSchedule"])
      let changes = [
        self.drift.map { _ in "drift is \(drift == "correct" ? "corrected" : "reported")" },
        backupInterval.map { _ in "backups: \(interval.words)" },
      ]
      let words = changes.compactMap { $0 }.joined(separator: ", ")
      return ["\(found["name"].text.printable): \(words)"]
    }
  }
}

struct UpgradeStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "upgrade", abstract: "Bring a store to the platform's present chart.",
    discussion: """
      Values that are set replace those of the same path; null removes one, and all others stay:
        storectl stores upgrade demo --wait
        storectl stores upgrade demo --set wordpress.php.ini.post_max_size=64M --wait

      A store whose upgrade fails goes back to its release by itself. 'storectl stores get' shows \
      what came of it, 'storectl stores releases' what the store can go back to.
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Option(
    help: ArgumentHelp(
      "A value of the store's chart, JSON or text; can be repeated. Not for secrets.",
      valueName: "path=value"))
  var set: [String] = []
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    if !set.isEmpty { body["values"] = .object(try SettingChange.tree(ofArguments: set)) }
    try await output.change(store, "upgrade", body, waiting, gateway)
  }
}

struct RollbackStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollback", abstract: "Bring a store back to one of its releases.",
    discussion: """
      The chart and the values are those of the release; the data stays as it is:
        storectl stores rollback demo --wait
        storectl stores rollback demo --to 3 --wait
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Option(
    help: ArgumentHelp(
      "The number of the release; the one before the current when absent.", valueName: "release"))
  var to: Int32?
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if let to, to < 1 { throw ValidationError("--to: give the number of a release, from 1") }
  }

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var body = JSONObject()
    body["release"] = to.map { .number(JSONNumber(Int64($0))) }
    try await output.change(store, "rollback", body, waiting, gateway)
  }
}

struct SuspendStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "suspend", abstract: "Stop everything that runs of a store.",
    discussion: """
      Its data, its address and its settings stay; 'storectl stores resume' starts it again:
        storectl stores suspend demo --wait
      """)

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try await output.change(store, "suspend", JSONObject(), waiting, gateway)
  }
}

struct ResumeStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume", abstract: "Start a suspended store again as it was.",
    discussion: "  storectl stores resume demo --wait")

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    try await output.change(store, "resume", JSONObject(), waiting, gateway)
  }
}

struct ListReleases: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "releases", abstract: "List the releases that a store can go back to.")

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let document = try await gateway.call(.get("/v1/stores/\(store)/releases"))
    var table = Table(["RELEASE", "CHART", "MADE", "VALUES", "OPERATION"])
    for release in document["releases"].array ?? [] {
      let isCurrent = release["current"].bool ?? false
      let set = JSON.object(release["parameters"]["values"].object ?? JSONObject())
      let values = set.leaves.map {
        "\($0.path.text)=\($0.value.string ?? $0.value.serializedText())"
      }
      table.add([
        .init(
          "\(release["number"].integer)\(isCurrent ? " (current)" : "")", isCurrent ? .bold : nil),
        .init(release["chart"].text), .init(release["createTime"].text.asLocalTime),
        .init(values.joined(separator: ", ")), .init(release["operation"].text),
      ])
    }
    try output.show(document, as: table)
  }
}

extension Output {
  func change(
    _ store: String, _ verb: String, _ body: JSONObject, _ waiting: WaitOptions,
    _ gateway: GatewayClient
  ) async throws {
    let operation = try await gateway.call(.post("/v1/stores/\(store):\(verb)", once: body))
    try await follow(operation, of: store, waiting, gateway)
  }
}
