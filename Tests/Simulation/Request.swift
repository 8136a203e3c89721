/// What is asked for on the command line.
struct Request {
  var runs: Int?
  var seed: UInt64?
  var processes = 2
  var mutation: Mutation?
  var isVerbose = false
  /// Whether the simulation itself is to be tested.
  var isCheck = false

  init?(_ arguments: [String]) {
    var arguments = arguments[...]
    while let argument = arguments.popFirst() {
      switch argument {
      case "--verbose": isVerbose = true
      case "--check": isCheck = true
      case "--runs":
        guard let value = arguments.popFirst().flatMap({ Int($0) }), value > 0 else { return nil }
        runs = value
      case "--seed":
        guard let value = arguments.popFirst().flatMap({ UInt64($0) }) else { return nil }
        seed = value
      case "--processes":
        guard let value = arguments.popFirst().flatMap({ Int($0) }), value > 0 else { return nil }
        processes = value
      case "--mutation":
        guard let value = arguments.popFirst().flatMap(Mutation.init) else { return nil }
        mutation = value
      default: return nil
      }
    }
  }
}
