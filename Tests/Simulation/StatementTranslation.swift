/// Carries a client's batch to a session that many clients share: each statement is prepared once there, by
/// a name of its own, and the client is answered as if it had prepared it.
struct StatementTranslation {
  private enum Expected {
    /// Answered without the server.
    case ours(WireMessage)
    case parse(String)
    /// What we ask for ourselves.
    case clock, notices
    case other
  }

  private let client: ClientSession
  private let session: ServerSession
  private let mutation: Mutation?
  private(set) var bytes: [UInt8] = []
  /// What a transaction that ended with the batch has told.
  private(set) var notices: [Notice] = []
  private var expected: [Expected] = []

  init(_ client: ClientSession, _ session: ServerSession, _ mutation: Mutation?) {
    self.client = client
    self.session = session
    self.mutation = mutation
  }

  /// Puts down what the server is to be sent.
  ///
  /// - Parameters:
  ///   - names: of all statements that any client ever had, by text and types.
  ///   - clock: the time on the server.
  ///   - begins: whether it begins a transaction with its first statement.
  ///   - ends: whether a transaction may end with the batch.
  mutating func add(
    _ batch: [WireMessage], names: inout [[UInt8]: String], clock: String, machine: String,
    begins: Bool, ends: Bool
  ) {
    // A transaction's first statement must not come before its beginning.
    let time = begins ? batch.prefix { !$0.is("E") }.count + 1 : 0
    for (index, message) in batch.dropLast().enumerated() {
      if index == time { addClock(clock, machine) }
      add(message, &names)
    }
    if time == batch.count - 1 { addClock(clock, machine) }
    if ends {
      for message in [WireMessage.bind("notices", []), .execute] { message.append(to: &bytes) }
      expected += [.notices, .notices]
    }
    WireMessage.sync.append(to: &bytes)
  }

  private mutating func addClock(_ time: String, _ machine: String) {
    // In a transaction that has failed nothing goes by it.
    if client.status == "E" { return }
    let name = client.status == "I" ? "start" : "clock"
    for message in [.bind(name, [time, machine]), WireMessage.execute] {
      message.append(to: &bytes)
    }
    expected += [.clock, .clock]
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
    default: expected.append(.other)
    }
    message.append(to: &bytes)
  }

  /// What the client is to be told.
  mutating func result(of answers: [WireMessage]) -> [WireMessage] {
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
      case "D":
        switch left.first {
        case .notices: notices = Notice.all(in: answer)
        case .clock: break
        default: result.append(answer)
        }
        continue
      case "Z": takeOurs()
      case "S", "A": continue
      case "E": left = []
      default:
        takeOurs()
        switch left.popFirst() {
        case .parse(let name): session.prepared.insert(name)
        case .clock, .notices: continue
        default: break
        }
      }
      result.append(answer)
    }
    return result
  }
}

/// What the schema tells by NOTIFY. In a run it is put down with the session, and given to those who listen once
/// its transaction is committed: nobody has to wait for the server to hand it on.
struct Notice: Equatable {
  let channel: String
  let payload: String

  static let function = """
    CREATE FUNCTION pg_notify(channel text, payload text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      PERFORM set_config('sim.notices',
        concat(current_setting('sim.notices', true), channel, ' ', payload, E'\\n'), false);
    END $$;
    GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC;
    """

  /// All that a row of one text has.
  static func all(in row: WireMessage) -> [Notice] {
    var notices: [Notice] = []
    for line in String(decoding: row.body.dropFirst(6), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      guard words.count == 2 else { continue }
      let notice = Notice(channel: String(words[0]), payload: String(words[1]))
      if !notices.contains(notice) { notices.append(notice) }
    }
    return notices
  }

  var message: WireMessage {
    WireMessage("A", [0, 0, 0, 0] + channel.utf8 + [0] + payload.utf8 + [0])
  }
}
