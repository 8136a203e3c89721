import ArgumentParser
import Foundation
import JSON

struct SecretsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secrets", abstract: "The secrets of your tenant. Their values are never shown.",
    subcommands: [List.self, Set.self, Delete.self])

  struct List: GatewayCommand {
    static let configuration = CommandConfiguration(abstract: "List the secrets' names.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let secrets = try await gateway.list("/v1/secrets", "secrets")
      var table = Table(["NAME", "VERSION", "CREATED", "CHANGED"])
      for secret in secrets.elements {
        table.add([
          .init(secret["name"].text, .bold), .init("\(secret["version"].integer)"),
          .init(secret["createTime"].text.asLocalTime),
          .init(secret["updateTime"].text.asLocalTime),
        ])
      }
      try output.show(secrets.document, as: table)
    }
  }

  struct Set: GatewayCommand {
    /// The config service's own limit.
    private static let valueBytesMax = 64 * 1024

    static let configuration = CommandConfiguration(
      abstract: "Create a secret, or give it a new value.",
      discussion: """
        The value is asked for, or read from standard input when that is no terminal; it is never an \
        argument. A newline at its end is left out, unless --raw is given:
          storectl secrets set smtp-password
          storectl secrets set tls.key --raw < key.pem
        """)

    @Argument(help: "The secret's name.") var name: String
    @Flag(help: "Take every byte of standard input, the newline at its end included.")
    var raw = false
    @Option(help: "Only if this is the secret's version; 0: only if there is none yet.")
    var expectedVersion: Int64?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      let value = try StandardInput.secret(
        "Value of \(name)", bytesMax: Self.valueBytesMax, keepingNewline: raw,
        errors: output.messages)
      guard !value.isEmpty else { throw CommandFailure(.invalid, "the value is empty") }
      var body = JSONObject()
      body["name"] = .string(name)
      if let text = String(validating: value, as: UTF8.self) {
        body["value"] = .string(text)
      } else {
        body["data"] = .string(Data(value).base64EncodedString())
      }
      body["expectedVersion"] = expectedVersion.map { .string("\($0)") }
      let secret = try await gateway.call(
        GatewayRequest(
          method: "POST", path: "/v1/secrets", body: .object(body), isRepeatable: false))
      try output.show(secret) {
        ["\(secret["name"].text.printable) is set, version \(secret["version"].integer)"]
      }
    }
  }

  struct Delete: GatewayCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a secret and all its versions.",
      discussion: "Asks first on a terminal; elsewhere --yes is needed.")

    @Argument(help: "The secret's name.") var name: String
    @Flag(name: [.short, .long], help: "Do not ask.") var yes = false
    @Option(help: "Only if this is the secret's version.") var expectedVersion: Int64?
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func run(_ gateway: GatewayClient, _ output: Output) async throws {
      if !yes { try output.confirm("Delete the secret \(name)?") }
      let version = expectedVersion.map { [(name: "expectedVersion", value: "\($0)")] } ?? []
      let answer = try await gateway.call(
        GatewayRequest(
          method: "DELETE", path: "/v1/secrets/\(name)", query: version, isRepeatable: false))
      try output.show(answer) { ["\(name) is deleted"] }
    }
  }
}
