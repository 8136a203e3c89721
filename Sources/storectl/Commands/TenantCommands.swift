import ArgumentParser
import JSON

struct TenantsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tenants", abstract: "The tenants of the platform.",
    discussion: "An administrator sees and creates all of them, others see their own.",
    subcommands: [List.self, Get.self, Create.self])

  struct List: GatewayCommand {
    static let configuration = CommandConfiguration(abstract: "List the tenants.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let tenants = try await gateway.list("/v1/tenants", "tenants")
      var table = Table(["ID", "NAME", "CREATED"])
      for tenant in tenants.elements {
        table.add([
          .init(tenant["id"].text, .bold), .init(tenant["displayName"].text),
          .init(tenant["createTime"].text.asLocalTime),
        ])
      }
      try output.show(tenants.document, as: table)
    }
  }

  struct Get: GatewayCommand {
    static let configuration = CommandConfiguration(abstract: "Show a tenant.")

    @Argument(help: "The tenant's id.") var tenant: String
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      try output.describeTenant(try await gateway.call(.get("/v1/tenants/\(tenant)")))
    }
  }

  struct Create: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Create a tenant; for administrators.",
      discussion: "  storectl tenants create acme --display-name 'Acme Ltd.'")

    @Argument(help: "The id: lowercase letters, digits and inner hyphens, a letter first.")
    var tenant: String
    @Option(help: "The name to show.") var displayName: String?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      var body = JSONObject()
      body["tenant"] = .string(tenant)
      body["displayName"] = displayName.map { .string($0) }
      try output.describeTenant(try await gateway.call(.post("/v1/tenants", once: body)))
    }
  }
}

extension Output {
  fileprivate func describeTenant(_ tenant: JSON) throws {
    try describe(
      tenant,
      [
        ("id", .init(tenant["id"].text)),
        ("name", .init(tenant["displayName"].text)),
        ("created", .init(tenant["createTime"].text.asLocalTime)),
        ("changed", .init(tenant["updateTime"].text.asLocalTime)),
      ])
  }
}
