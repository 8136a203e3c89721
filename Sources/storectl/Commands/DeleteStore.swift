import ArgumentParser
import Foundation
import JSON

struct DeleteStore: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete a store with everything it has.",
    discussion: """
      Asks first on a terminal; elsewhere --yes is needed:
        storectl stores delete demo --yes --wait
      """)

  @Argument(help: "The store's name or id.") var store: String
  @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
  @OptionGroup var waiting: WaitOptions
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    if !yes { try await confirm(gateway, output) }
    var request = GatewayRequest.get(
      "/v1/stores/\(store)", [("requestId", UUID().uuidString.lowercased())])
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
