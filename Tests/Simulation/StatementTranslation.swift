/// Carries a client's batch to a session that many clients share: each statement is prepared once there, by
/// a name of its own, and the client is answered as if it had prepared it.
struct StatementTranslation {
  private enum Expected {
    /// Answered without the server.
    case ours(WireMessage)
    case parse(String)
    case other
  }

  private let client: ClientSession
  private let session: ServerSession
  private let mutation: Mutation?
  private var bytes: [UInt8] = []
  private var expected: [Expected] = []

  init(_ client: ClientSession, _ session: ServerSession, _ mutation: Mutation?) {
    self.client = client
    self.session = session
    self.mutation = mutation
  }

  /// - Parameters:
  ///   - names: of all statements that any client ever had, by text and types.
  ///   - clock: the time on the server.
  mutating func run(
    _ batch: [WireMessage], names: inout [[UInt8]: String], clock: String, machine: String
  ) throws -> [WireMessage] {
    for message in [.bind("clock", [clock, machine]), WireMessage.execute, .sync] {
      message.append(to: &bytes)
    }
    for message in batch { add(message, &names) }
    let answers = try session.exchange(bytes, syncs: 2)
    guard let first = answers.firstIndex(where: { $0.is("Z") }) else { return [] }
    return translate(answers[(first + 1)...])
  }

  private mutating func add(_ message: WireMessage, _ names: inout [[UInt8]: String]) {
    var message = message
    switch Unicode.Scalar(message.type) {
    case "P":
      var position = 0
      let name = message.text(at: &position)
      let key = Array(message.body[position...])
      let known = names[key] ?? "q\(names.count)"
      names[key] = known
      client.statements[name] = known
      if session.prepared.contains(known) { return expected.append(.ours(.parseComplete)) }
      let sql = message.text(at: &position)
      message = .parse(known, mutation?.rewrite(sql) ?? sql, types: message.body[position...])
      expected.append(.parse(known))
    case "B":
      var position = 0
      let portal = message.text(at: &position)
      let name = message.text(at: &position)
      let known = client.statements[name] ?? name
      message.body = portal.utf8 + [0] + known.utf8 + [0] + message.body[position...]
      expected.append(.other)
    case "S": break
    default: expected.append(.other)
    }
    message.append(to: &bytes)
  }

  private func translate(_ answers: ArraySlice<WireMessage>) -> [WireMessage] {
    var result: [WireMessage] = []
    var left = expected[...]
    func takeOurs() {
      while case .ours(let answer) = left.first {
        result.append(answer)
        left.removeFirst()
      }
    }
    for answer in answers {
      switch Unicode.Scalar(answer.type) {
      case "D", "N", "Z": takeOursUnlessRow(answer)
      case "S", "A": continue
      case "E": left = []
      default:
        takeOurs()
        if case .parse(let name) = left.popFirst() { session.prepared.insert(name) }
      }
      result.append(answer)
    }
    return result

    func takeOursUnlessRow(_ answer: WireMessage) {
      if answer.is("Z") { takeOurs() }
    }
  }
}
