import ArgumentParser
import JSON

struct SettingsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "settings", abstract: "The settings of your tenant: everything that is no secret.",
    discussion: """
      A setting's path is its keys with dots between them; a key of other characters than letters, \
      digits, _ and - stands in backquotes:
        storectl settings set features.darkMode=true 'shipping.`express (EU)`=9.5'
        storectl settings get features
        storectl settings unset features.darkMode
      """,
    subcommands: [Get.self, Set.self, Unset.self])

  struct Get: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show all settings, or those below a path.")

    @Argument(help: "The path of a setting.") var path: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let path = try path.map { text throws(CommandFailure) in try SettingPath(text) }
      let settings = try await gateway.call(.get("/v1/settings"))
      guard let path else { return try output.showSettings(settings) }
      guard let value = path.value(in: settings["values"]) else {
        throw CommandFailure(.notFound, "there is no setting \(path.text)")
      }
      try output.show(value) {
        if case .object = value { return output.table(of: value).lines(on: output.results) }
        return [value.shown]
      }
    }
  }

  struct Set: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Set settings; the others stay.",
      discussion: """
        A value is JSON where it is any (true, 5, '"5"', '[1, 2]', null), else a text:
          storectl settings set theme=dark limits.stores=5
        """)

    @Argument(help: ArgumentHelp("What to set.", valueName: "path=value")) var changes: [String]
    @Option(help: "Only if this is still the settings' etag (settings get -o json).")
    var etag: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let changes = try changes.map { text throws(CommandFailure) in try SettingChange(text) }
      let tree = try SettingChange.tree(of: changes)
      try await output.showSettings(
        gateway.updateSettings(.object(tree), paths: changes.map(\.path), etag: etag))
    }
  }

  struct Unset: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove settings; the others stay.")

    @Argument(help: ArgumentHelp("What to remove.", valueName: "path")) var paths: [String]
    @Option(help: "Only if this is still the settings' etag (settings get -o json).")
    var etag: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let paths = try paths.map { text throws(CommandFailure) in try SettingPath(text) }
      try await output.showSettings(gateway.updateSettings([:], paths: paths, etag: etag))
    }
  }
}

extension GatewayClient {
  fileprivate func updateSettings(
    _ values: JSON, paths: [SettingPath], etag: String?
  ) async throws -> JSON {
    var body = JSONObject()
    body["values"] = values
    body["etag"] = etag.map { .string($0) }
    // To set the same values again changes nothing, except against an etag.
    return try await call(
      GatewayRequest(
        method: "PATCH", path: "/v1/settings", query: paths.map { ("paths", $0.text) },
        body: .object(body), isRepeatable: etag == nil))
  }
}

extension Output {
  fileprivate func table(of values: JSON) -> Table {
    var table = Table(["SETTING", "VALUE"])
    for leaf in values.leaves { table.add([.init(leaf.path.text), .init(leaf.value.shown)]) }
    return table
  }

  fileprivate func showSettings(_ settings: JSON) throws {
    try show(settings, as: table(of: settings["values"]))
  }
}

extension JSON {
  /// A text as it is, anything else as JSON.
  fileprivate var shown: String { (string ?? serializedText()).printable }
}
