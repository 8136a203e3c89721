import ArgumentParser
import Foundation
import JSON

struct DeleteStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete a store with everything it has.",
    discussion: """
      Asks first on a terminal; elsewhere --yes is needed:
        storectl stores delete demo --yes --wait
        storectl stores delete demo --final-backup --yes --wait
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Flag(help: "Back the store up first; it is not deleted where that fails.") var finalBackup =
    false
  @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    if !yes { try await confirm(gateway, output) }
    var query = [("requestId", UUID().uuidString.lowercased())]
    if finalBackup { query.append(("finalBackup", "true")) }
    var request = GatewayRequest.get("/v1/stores/\(store)", query)
    request.method = "DELETE"
    let operation = try await gateway.call(request)
    try await output.follow(operation, of: store, waiting, gateway)
  }

  private func confirm(_ gateway: GatewayClient, _ output: Output) async throws {
    try output.requireSomebodyToAsk()
    let found = try await gateway.call(.get("/v1/stores/\(store)"))
    try output.confirm("Delete \(found["name"].text) (\(found["url"].text)) with all its data?")
  }
}
