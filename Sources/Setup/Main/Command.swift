import Configuration
import Foundation
import Glibc
import Postgres
import Reactor
import Setup

/// What `storeplane-setup` is asked to do.
enum Command {
  case prepare(Installation, asks: Bool, portBase: Int?)
  case databases(Installation)
  case check(Installation, [PlatformService])
  case environment(Installation, PlatformService, ServiceEnvironment.Role)
  case run(Installation, PlatformService, ServiceEnvironment.Role, arguments: [String])
  case variables(VariableList.Form, PlatformService?)
  case help

  static let usage = """
    usage: storeplane-setup prepare [--yes] [--port-base PORT]
           storeplane-setup databases
           storeplane-setup check [SERVICE ...]
           storeplane-setup variables [--service SERVICE] [--needs]
           storeplane-setup environment [--owner] SERVICE
           storeplane-setup run [--owner] SERVICE [ARGUMENT ...]

    prepare      makes what an installation lacks: storeplane.env with its keys, the certificates, the
                 administrator's login. Changes nothing that is there. Asks a few questions the first
                 time, or none with --yes; settings in the environment are taken over then.
                 --port-base PORT puts the gateway there, the other services on the next three ports,
                 and the admin ports a hundred above.
    databases    makes each service's schema and roles with DATABASE_URL of the environment, and keeps
                 their URLs in storeplane.env; without DATABASE_URL, tries those that are there
    check        checks the settings by the rules of all services, and names everything that is wrong
    variables    lists all settings: what each is for, and how it comes to its value; with --needs,
                 only the names, and whether each is required
    environment  prints what one service is told, secrets included, as a service manager's file
    run          becomes the service, with what it is told as its environment: `run gateway`

    --owner      with the rights to change the service's schema, and nothing else: `run --owner audit
                 migrate`
    --state FOLDER   the installation; $STOREPLANE_STATE, or .storeplane, unless given
    """

  static func parse(_ arguments: [String]) throws -> Command {
    var words = Words(arguments)
    guard let name = words.next() else { throw Misuse(reason: "a command is missing") }
    if ["-h", "--help", "help"].contains(name) { return .help }
    let folder = try words.option("--state")
    let installation = Installation(folder: absolute(folder))
    switch name {
    case "prepare":
      let base = try words.option("--port-base").map(portBase)
      let asks = !words.flag("--yes")
      try words.end()
      return .prepare(installation, asks: asks, portBase: base)
    case "databases":
      try words.end()
      return .databases(installation)
    case "check":
      let services = try words.rest().map(service)
      return .check(installation, services.isEmpty ? PlatformService.allCases : services)
    case "environment":
      let role: ServiceEnvironment.Role = words.flag("--owner") ? .owner : .service
      let service = try service(words.next())
      try words.end()
      return .environment(installation, service, role)
    case "run":
      let role: ServiceEnvironment.Role = words.flag("--owner") ? .owner : .service
      return .run(installation, try service(words.next()), role, arguments: words.rest())
    case "variables":
      let service = try words.option("--service").map { try self.service($0) }
      let form: VariableList.Form = words.flag("--needs") ? .needs : .text
      try words.end()
      return .variables(form, service)
    default: throw Misuse(reason: "\(name) is not a command")
    }
  }

  private static func absolute(_ folder: String?) -> String {
    let given = folder ?? ProcessInfo.processInfo.environment["STOREPLANE_STATE"] ?? ".storeplane"
    return URL(fileURLWithPath: given).standardizedFileURL.path
  }

  private static func portBase(_ text: String) throws -> Int {
    guard let port = Int(text), Preparation.portBases.contains(port) else {
      throw Misuse(
        reason:
          "--port-base is a number from \(Preparation.portBases.lowerBound) to \(Preparation.portBases.upperBound)"
      )
    }
    return port
  }

  private static func service(_ name: String?) throws -> PlatformService {
    guard let name else { throw Misuse(reason: "a service is missing") }
    guard let service = PlatformService(rawValue: name) else {
      let all = PlatformService.allCases.map(\.rawValue).joined(separator: ", ")
      throw Misuse(reason: "\(name) is not a service: \(all)")
    }
    return service
  }

  func run() async throws {
    switch self {
    case .help: print(Self.usage)
    case .prepare(let installation, let asks, let base): try prepare(installation, asks, base)
    case .databases(let installation): try await databases(installation)
    case .check(let installation, let services):
      try InstallationSettings(installation).check(services)
    case .environment(let installation, let service, let role):
      print(
        try InstallationSettings(installation).environment(of: service, role: role).text,
        terminator: "")
    case .run(let installation, let service, let role, let arguments):
      try become(service, role, installation, arguments)
    case .variables(let form, let service):
      print(VariableList.render(form, service: service), terminator: "")
    }
  }

  private func prepare(_ installation: Installation, _ asks: Bool, _ portBase: Int?) throws {
    let preparation = Preparation(
      installation, environment: ProcessInfo.processInfo.environment, now: Int64(time(nil)))
    var choices: [String: String] = [:]
    if asks && !preparation.hasSettings {
      guard isatty(STDIN_FILENO) != 0 else {
        throw Misuse(reason: "there is no terminal to ask at: give --yes for the defaults")
      }
      choices = try Wizard(.standard).run()
    }
    let outcome = try preparation.run(choices: choices, portBase: portBase)
    if outcome.isFirst { print("made \(installation.settingsFile), with new keys: keep a copy") }
    for note in outcome.notes { print(note) }
  }

  private func databases(_ installation: Installation) async throws {
    let settings = try InstallationSettings(installation)
    let url = ProcessInfo.processInfo.environment["DATABASE_URL"].flatMap { $0.isEmpty ? nil : $0 }
    let reactor = try Reactor.start(name: "setup")
    try await ServiceDatabases().prepare(
      settings, admin: url.map { DatabaseURL($0) }, on: reactor, blocking: BlockingPool())
  }

  /// Replaces this program by the service. Its environment has what it is told, and what programs
  /// need of a user's; nothing else of this process's.
  private func become(
    _ service: PlatformService, _ role: ServiceEnvironment.Role, _ installation: Installation,
    _ arguments: [String]
  ) throws {
    let settings = try InstallationSettings(installation)
    if role == .service { try settings.check([service]) }
    var variables = settings.environment(of: service, role: role).variables
    let inherited = ProcessInfo.processInfo.environment
    for name in Self.inheritedVariables where variables[name] == nil {
      variables[name] = inherited[name]
    }
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let path = URL(fileURLWithPath: own).deletingLastPathComponent()
      .appendingPathComponent(service.rawValue).path
    var words = ([path] + arguments).map { strdup($0) } + [nil]
    var environment = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    execve(path, &words, &environment)
    throw Misuse(reason: "\(path) cannot be run: \(String(cString: strerror(errno)))")
  }

  private static let inheritedVariables = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"]
}
