import ArgumentParser
import Foundation

struct ConnectionOptions: ParsableArguments {
  static let timeoutSecondsMax: Int64 = 600

  @Option(
    help: ArgumentHelp(
      "Where the gateway is: http://HOST:PORT or https://HOST.",
      discussion: """
        Without it, STOREPLANE_ADDRESS, else where you signed in, else \(GatewayAddress.local).
        """, valueName: "url"))
  var address: String?

  @Option(
    help: ArgumentHelp("The longest wait for an answer, such as 10s or 2m.", valueName: "time"))
  var requestTimeout = Span(seconds: 30)

  mutating func validate() throws {
    guard (1...Self.timeoutSecondsMax).contains(requestTimeout.seconds) else {
      throw ValidationError("--request-timeout: give 1 s to \(Self.timeoutSecondsMax) s")
    }
  }

  private var environment: [String: String] { ProcessInfo.processInfo.environment }

  func credentialsFile() throws(CommandFailure) -> CredentialsFile {
    try CredentialsFile(environment: environment)
  }

  func gateway(_ output: Output) throws(CommandFailure) -> GatewayClient {
    let environment = environment
    let file = try credentialsFile()
    let given = environment["STOREPLANE_TOKEN"].flatMap { $0.isEmpty ? nil : $0 }
    var text = address ?? environment["STOREPLANE_ADDRESS"] ?? ""
    // What is wrong with the file is told when its token is needed.
    if text.isEmpty { text = (try? file.read())?.address ?? GatewayAddress.local }
    let address = try GatewayAddress(text)
    let messages = output.messages
    if address.isExposed {
      messages.line("warning: \(address) is plain HTTP: what you send can be read on its way")
    }
    return GatewayClient(
      address: address,
      session: Session(address: address, file: file, givenToken: given) { messages.line($0) },
      timeoutSeconds: Int(requestTimeout.seconds))
  }
}

struct OutputOptions: ParsableArguments {
  @Option(name: [.customShort("o"), .long], help: "How results are told: table, json or yaml.")
  var output = OutputFormat.table

  var value: Output { Output(output, environment: ProcessInfo.processInfo.environment) }
}

struct WaitOptions: ParsableArguments {
  @Flag(help: "Wait until it is done, and show each step as it happens.")
  var wait = false

  @Option(help: ArgumentHelp("The longest wait, such as 90s or 15m.", valueName: "time"))
  var timeout = Span(seconds: 5400)
}

/// A span of time in an option.
struct Span: ExpressibleByArgument, Equatable, CustomStringConvertible {
  let seconds: Int64

  init(seconds: Int64) { self.seconds = seconds }

  init?(argument: String) {
    guard let seconds = SpanText.seconds(argument), seconds > 0 else { return nil }
    self.seconds = seconds
  }

  var description: String {
    seconds % 60 == 0 && seconds > 60 ? "\(seconds / 60)m" : "\(seconds)s"
  }

  var defaultValueDescription: String { description }
}

/// A command that talks to the gateway.
protocol GatewayCommand: AsyncParsableCommand {
  var connection: ConnectionOptions { get }
  var output: OutputOptions { get }

  func run(_ gateway: GatewayClient, _ output: Output) async throws
}

extension GatewayCommand {
  mutating func run() async throws {
    let output = output.value
    let gateway = try connection.gateway(output)
    do {
      try await run(gateway, output)
    } catch let error as TransportError {
      throw error.failure(at: gateway.address)
    } catch let problem as GatewayProblem {
      throw problem.failure
    }
  }
}
