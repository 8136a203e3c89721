/// What a service is started with. Everything else is a setting, so that no secret is an argument.
package enum ServiceArguments: Sendable, Hashable {
  case run(configurationFile: String?)
  /// Check the configuration, say what is wrong, and exit.
  case check(configurationFile: String?)
  /// Bring the service's schema up to date, with its owner's rights, and exit.
  case migrate(configurationFile: String?)
  case help
  /// Said to the user, with exit code 64 (EX_USAGE).
  case misuse(String)

  /// - Parameter arguments: without the program's name.
  package static func parse(_ arguments: [String]) -> ServiceArguments {
    var file: String?
    var isCheck = false
    var isMigration = false
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      switch argument {
      case "--help", "-h": return .help
      case "--check": isCheck = true
      case "migrate": isMigration = true
      case "--config":
        guard let path = rest.popFirst(), !path.isEmpty else {
          return .misuse("--config needs the path of a file")
        }
        guard file == nil else { return .misuse("--config is given twice") }
        file = path
      default:
        let prefix = "--config="
        guard argument.hasPrefix(prefix), argument != prefix else {
          return .misuse("\(Shown.text(argument)) is not an argument; --help lists them")
        }
        guard file == nil else { return .misuse("--config is given twice") }
        file = String(argument.dropFirst(prefix.count))
      }
    }
    if isMigration {
      return isCheck
        ? .misuse("migrate and --check do not go together") : .migrate(configurationFile: file)
    }
    return isCheck ? .check(configurationFile: file) : .run(configurationFile: file)
  }
}
