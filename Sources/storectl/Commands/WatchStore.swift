import ArgumentParser
import JSON

struct WatchStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch", abstract: "Show a store as it is, and each change of it.",
    discussion: """
      Goes on until the store is deleted, or until Ctrl-C. With -o json one line a change, with \
      -o yaml one document a change.
      """)

  @Argument(help: "The store's name or id.") var store: String
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    // By its id from here on: the name may be another store's later.
    let found = try await gateway.call(.get("/v1/stores/\(store)"))
    let id = found["id"].text
    let table = Table(["TIME", "STATE", "ADDRESS"], widthsMin: [19, 12])
    if output.format == .table { output.results.line(table.heading(on: output.results)) }
    var latest = ""
    try await gateway.followStream(
      .get("/v1/stores/\(id):watch"), note: { output.messages.line($0) },
      take: { store in
        // A new stream begins with what the one before ended with.
        guard store["etag"].text != latest || latest.isEmpty else { return false }
        latest = store["etag"].text
        let state = EnumName.short(store["state"].text, "STATE")
        let error = OperationError(store["error"])
        try output.showNext(store) {
          [
            table.line(
              [
                .init(store["updateTime"].text.asLocalTime),
                .init(state, EnumName.style(ofState: state)),
                .init(error?.text ?? store["url"].text),
              ], on: output.results)
          ]
        }
        return state == "deleted"
      })
  }
}
