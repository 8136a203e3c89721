import ArgumentParser
import JSON

struct LoginCommand: GatewayCommand {
  /// The gateway's own limit.
  private static let passwordBytesMax = 1024

  static let configuration = CommandConfiguration(
    commandName: "login", abstract: "Sign in, and keep the login for further commands.",
    discussion: """
      The password is asked for, or read from standard input when that is no terminal:
        storectl login --username ada --address https://storeplane.example.com
        storectl login --username ada < password-file

      The login is kept in ~/.config/storeplane/credentials.json, readable by you alone, and renewed \
      by itself for 30 days after its last use.
      """)

  @Option(name: [.short, .long], help: "The name you sign in with; asked for when absent.")
  var username: String?
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let name = try name(output)
    let password = try StandardInput.secret(
      "Password of \(name)", bytesMax: Self.passwordBytesMax, errors: output.messages)
    let answer = try await gateway.call(
      GatewayRequest(
        method: "POST", path: "/v1/auth/login",
        body: [
          "username": .string(name), "password": .string(String(decoding: password, as: UTF8.self)),
        ],
        isRepeatable: false, needsToken: false))
    let principal = answer["principal"]
    guard
      let credentials = Credentials(
        tokens: answer["tokens"], address: gateway.address.text,
        username: principal["username"].string ?? name)
    else { throw CommandFailure(.failed, "the gateway's answer to the login has no tokens") }
    let file = gateway.session.file
    try await file.locked { try file.write(credentials) }
    try output.show(principal) {
      ["signed in at \(gateway.address) as \(principal.principalText)"]
    }
  }

  private func name(_ output: Output) throws(CommandFailure) -> String {
    if let username { return username }
    guard StandardInput.isTerminal else {
      throw .usage("--username is missing: standard input has the password")
    }
    return try StandardInput.line("Username", errors: output.messages)
  }
}

struct LogoutCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logout", abstract: "Forget the login on this machine.",
    discussion:
      "An access token that was shown by `storectl token` is good for up to 15 minutes more.")

  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let removed = try connection.credentialsFile().remove()
    print(removed ? "signed out" : "nobody was signed in")
  }
}

struct WhoamiCommand: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "whoami", abstract: "Show who is signed in, and where.")

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let principal = try await gateway.call(.get("/v1/me"))
    try output.describe(
      principal,
      [
        ("username", .init(principal["username"].text)),
        ("name", .init(principal["displayName"].text)),
        ("tenant", .init(principal["tenant"].text)),
        ("roles", .init(principal.roleNames)),
        ("id", .init(principal["id"].text)),
        ("gateway", .init("\(gateway.address)")),
      ])
  }
}

struct TokenCommand: GatewayCommand {
  static let configuration = CommandConfiguration(
    commandName: "token", abstract: "Print an access token, for use with other programs.",
    discussion: """
      The token is good for up to 15 minutes. Keep it out of arguments, which others can see:
        storectl token | sed 's/^/Authorization: Bearer /' |
          curl -H @- http://127.0.0.1:8080/v1/stores
      """)

  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    let token = try await gateway.accessToken()
    try output.show(["accessToken": .string(token)]) { [token] }
  }
}

extension JSON {
  fileprivate var roleNames: String {
    (self["roles"].array ?? []).map { EnumName.short($0.text, "ROLE") }.joined(separator: ", ")
  }

  fileprivate var principalText: String {
    let tenant = self["tenant"].text
    return self["username"].text.printable
      + (tenant.isEmpty ? ", of no tenant" : ", tenant \(tenant.printable)")
  }
}
