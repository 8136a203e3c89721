import Glibc

/// Stands between the machines and the real server. It lets one statement through at a time, in the order of
/// the virtual time, of one or two transactions, and does to them what networks and servers do.
final class DatabaseProxy {
  /// With more, who goes on first of those that waited for one lock would be the server's choice.
  static let lanesMax = 2
  /// How long a transaction may stand still before the server ends its session: others wait for it.
  private static let patience: Int64 = 1_000_000_000

  enum Fault: String, CaseIterable {
    case lostBefore, lostAfter, serializationFailure, deadlock, slowBefore, slowAfter
    case diesBefore, diesAfter, stallsBefore, stallsAfter
  }

  private unowned let simulation: Simulation
  private let listening: Int32
  private let database: SimulatedDatabase
  private let scratch = Scratch()
  private(set) var clients: [ClientSession] = []
  private var clientsSeen = 0
  /// Batches that have come to the server and wait for their turn.
  private var arrived: [(client: ClientSession, batch: [WireMessage], fault: Fault?)] = []
  /// Transactions that may be open at once.
  private let lanes: Int
  /// Who has one open.
  private var holders: [ClientSession] = []
  /// Who waits for a lock: of two there is one to wait for.
  private var waiting: (ClientSession, StatementTranslation, Fault?)?

  private var trace: Trace { simulation.trace }

  /// - Parameter folder: where its socket is made.
  init(_ simulation: Simulation, folder: String, _ database: SimulatedDatabase) throws {
    self.simulation = simulation
    self.database = database
    lanes = simulation.faults.lanes
    listening = try DatabaseProxy.listen(in: folder)
  }

  deinit {
    for client in clients { client.close() }
    close(listening)
  }

  private static func listen(in folder: String) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = "\(folder)/.s.PGSQL.5432"
    unlink(path)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard result == 0, Glibc.listen(descriptor, 128) == 0 else {
      throw ServerSession.Failure(description: "no socket in \(folder)")
    }
    return descriptor
  }

  // MARK: From clients

  /// Takes what a machine has sent.
  func receive(from machine: Machine) throws {
    let known = clients.filter { $0.machine == nil || $0.machine === machine }
    var events = [pollfd(fd: listening, events: Int16(POLLIN), revents: 0)]
    events += known.map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
    if poll(&events, nfds_t(events.count), 0) == 0 { return }
    for (client, event) in zip(known, events.dropFirst()) where event.revents != 0 {
      try receive(from: client)
    }
    if events[0].revents != 0 { try accept() }
  }

  private func accept() throws {
    while true {
      let descriptor = Glibc.accept(listening, nil, nil)
      if descriptor < 0 { return }
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      var size: Int32 = 4 << 20
      setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
      clientsSeen += 1
      let client = ClientSession(clientsSeen, descriptor, scratch)
      clients.append(client)
      try receive(from: client)
    }
  }

  private func receive(from client: ClientSession) throws {
    let wasKnown = client.machine != nil
    guard client.receive(find: { self.simulation.machine($0) }) else { return try drop(client) }
    if !wasKnown, let machine = client.machine {
      trace.add("\(machine.name) connects as \(client.user)")
      simulation.after(simulation.latency()) {
        if !machine.isCutOff { client.welcome() }
      }
    }
    send(client)
  }

  /// Goes on with what a machine sent while it was cut off.
  func reconnect(_ machine: Machine) throws {
    try receive(from: machine)
    for client in clients where client.machine === machine { send(client) }
  }

  /// Sends the client's next batch on its way to the server, one at a time.
  private func send(_ client: ClientSession) {
    guard !client.isBusy, !client.isClosed, !client.batches.isEmpty, let machine = client.machine
    else { return }
    if machine.isCutOff { return }
    client.isBusy = true
    let batch = client.takeBatch()
    let fault = simulation.faults.database()
    var delay = simulation.latency()
    if fault == .slowBefore { delay += simulation.faults.slowness(isInside: client.session != nil) }
    simulation.after(delay) { [self] in
      arrived.append((client, batch, fault))
      try serve()
    }
  }

  // MARK: The server

  /// Serves what has arrived, as long as there is a lane for it.
  func serve() throws {
    while let index = arrived.firstIndex(where: { canEnter($0.client) }) {
      let (client, batch, fault) = arrived.remove(at: index)
      if client.isClosed || client.machine?.isDead ?? true { continue }
      if client.machine?.isCutOff ?? false {
        // It never came here.
        try drop(client)
        continue
      }
      try serve(client, batch, fault)
    }
  }

  private func canEnter(_ client: ClientSession) -> Bool {
    holders.count < lanes || holders.contains { $0 === client }
  }

  private func serve(_ client: ClientSession, _ batch: [WireMessage], _ fault: Fault?) throws {
    guard let machine = client.machine else { return }
    let label = label(of: batch, client)
    if let fault { simulation.coverage.count("database \(fault.rawValue) \(label.prefix(60))") }
    let words = fault.map { " (\($0.rawValue))" } ?? ""
    trace.add("\(machine.name)/\(client.number): \(label)\(words)")
    switch fault {
    case .lostBefore: return try drop(client)
    case .diesBefore: return try simulation.kill(machine)
    case .stallsBefore: simulation.stall(machine)
    default: break
    }
    let answers: [WireMessage]?
    switch fault {
    case .serializationFailure: answers = try refuse(client, batch, "40001")
    case .deadlock: answers = try refuse(client, batch, "40P01")
    default: answers = try answer(client, batch, fault)
    }
    if let answers { try conclude(client, answers, fault) }
  }

  /// Sends the client what came of its batch.
  private func conclude(
    _ client: ClientSession, _ answers: [WireMessage], _ fault: Fault?
  ) throws {
    guard let machine = client.machine else { return }
    for answer in answers where answer.is("E") {
      trace.add("  \(String(decoding: answer.body, as: UTF8.self).split(separator: "\0"))")
    }
    for answer in answers { for byte in answer.body { trace.mix(UInt64(byte)) } }
    switch fault {
    case .lostAfter: return try drop(client)
    case .diesAfter: return try simulation.kill(machine)
    case .stallsAfter: simulation.stall(machine)
    default: break
    }
    var delay = simulation.latency()
    if fault == .slowAfter { delay += simulation.faults.slowness(isInside: client.session != nil) }
    simulation.after(delay) { [self] in
      if machine.isCutOff || client.isClosed { return try drop(client) }
      client.isBusy = false
      client.heldSince = simulation.time
      client.send(answers)
      send(client)
    }
  }

  /// Nil while it waits for a lock that another transaction has.
  private func answer(
    _ client: ClientSession, _ batch: [WireMessage], _ fault: Fault?
  ) throws -> [WireMessage]? {
    if batch.count == 1 { return [.ready(client.status)] }
    let parsed = batch.filter { $0.is("P") }.map(sql)
    if parsed.contains(where: { $0.hasPrefix("LISTEN") }) {
      for text in parsed { client.channels.insert(text.dropFirst(7).filter { $0 != "\"" }) }
      return pretend(batch, "LISTEN", status: "I")
    }
    if client.isUndone { return afterUndoing(client, batch) }
    guard let machine = client.machine, let session = client.session ?? freeSession(client.user)
    else { return [] }
    client.session = session
    if !holders.contains(where: { $0 === client }) { holders.append(client) }
    // In their order: statements without a name follow each other under the same.
    let texts = batch.compactMap { message in
      let label = message.is("P") || message.is("B") ? label(message, client) : nil
      return message.is("B") ? label?.text : nil
    }
    let begins = texts.first?.hasPrefix("BEGIN") ?? false
    let ends = texts.contains("COMMIT") || (client.status == "I" && !begins)
    var translation = StatementTranslation(client, session, simulation.mutation)
    translation.add(
      batch, names: &database.statementNames, clock: simulation.timestamp, machine: machine.name,
      begins: begins, ends: ends)
    try session.send(translation.bytes)
    if holders.count > 1, try isBlocked(session) {
      simulation.coverage.count("overlap waits")
      trace.add("  waits for another transaction")
      if waiting == nil {
        waiting = (client, translation, fault)
        return nil
      }
      return try breakDeadlock(client, session, &translation)
    }
    return try take(session.receive(syncs: 1), client, &translation)
  }

  private func freeSession(_ user: String) -> ServerSession? {
    database.sessions[user]?.first { session in !holders.contains { $0.session === session } }
  }

  /// Whether a statement waits for another session, whose turn is not now.
  private func isBlocked(_ session: ServerSession) throws -> Bool {
    var patience: Int32 = 1
    while try !session.awaitAnswer(syncs: 1, milliseconds: patience) {
      patience = min(2 * patience, 64)
      let rows = try database.admin.query(
        "SELECT FROM unnest(pg_blocking_pids(\(session.process))) AS pid")
      if !rows.isEmpty { return true }
    }
    return false
  }

  /// Two wait for each other: the second one is told so, as the server would do.
  private func breakDeadlock(
    _ client: ClientSession, _ session: ServerSession, _ translation: inout StatementTranslation
  ) throws -> [WireMessage] {
    simulation.violate("two transactions wait for each other")
    try database.admin.query("SELECT pg_cancel_backend(\(session.process))")
    let answers = try session.receive(syncs: 1).map { answer in
      answer.is("E") ? WireMessage.failure("40P01", "deadlock detected") : answer
    }
    return try take(answers, client, &translation)
  }

  /// Takes what the server has said to a client, and gives it to who waited for that.
  private func take(
    _ answers: [WireMessage], _ client: ClientSession, _ translation: inout StatementTranslation
  ) throws -> [WireMessage] {
    let result = translation.result(of: answers)
    for answer in result where answer.is("Z") { client.status = Unicode.Scalar(answer.body[0]) }
    client.heldSince = simulation.time
    if client.status == "I" {
      announce(translation.notices)
      leave(client)
    }
    // One that has failed has no locks any more.
    if client.status != "T" { try goOn() }
    return result
  }

  private func leave(_ client: ClientSession) {
    client.session = nil
    holders.removeAll { $0 === client }
    simulation.after(0) { [self] in try serve() }
  }

  /// Answers who waited for a transaction that is over.
  private func goOn() throws {
    guard let (client, request, fault) = waiting, let session = client.session else { return }
    waiting = nil
    var translation = request
    let answers = try take(session.receive(syncs: 1), client, &translation)
    trace.add("\(client.machine?.name ?? "")/\(client.number) goes on")
    try conclude(client, answers, fault)
  }

  /// What the client is told whose transaction is gone already.
  private func afterUndoing(_ client: ClientSession, _ batch: [WireMessage]) -> [WireMessage] {
    let text = label(of: batch, client)
    guard text == "ROLLBACK" || text == "COMMIT" else {
      return [.failure("25P02", "the transaction has failed"), .ready("E")]
    }
    client.isUndone = false
    client.status = "I"
    return pretend(batch, "ROLLBACK", status: "I")
  }

  private func pretend(
    _ batch: [WireMessage], _ tag: String, status: Unicode.Scalar
  ) -> [WireMessage] {
    batch.map { message in
      switch Unicode.Scalar(message.type) {
      case "P": .parseComplete
      case "B": .bindComplete
      case "D": .noData
      case "C": .closeComplete
      case "E": .complete(tag)
      default: .ready(status)
      }
    }
  }

  /// The server refuses a statement, and undoes the transaction.
  private func refuse(
    _ client: ClientSession, _ batch: [WireMessage], _ sqlState: String
  ) throws -> [WireMessage]? {
    if batch.count == 1 || client.isUndone { return try answer(client, batch, nil) }
    let text = label(of: batch, client)
    let begins = batch.contains { $0.is("P") && sql($0).hasPrefix("BEGIN") }
    let isInside = client.status != "I" || begins || text.hasPrefix("BEGIN")
    try rollBack(client)
    // A commit that is refused ends its transaction.
    let isOpen = isInside && text != "COMMIT" && text != "ROLLBACK"
    client.isUndone = isOpen
    client.status = isOpen ? "E" : "I"
    return [.failure(sqlState, "a fault of the simulation"), .ready(client.status)]
  }

  /// Gives notifications to those who listen.
  private func announce(_ notices: [Notice]) {
    for notice in notices {
      for client in clients where client.channels.contains(notice.channel) {
        if simulation.faults.losesNotice() {
          simulation.coverage.count("overlap notices lost")
          continue
        }
        simulation.after(simulation.latency()) {
          if !(client.machine?.isCutOff ?? true) { client.send([notice.message]) }
        }
      }
    }
  }

  // MARK: Ends

  /// Its connection is gone.
  func drop(_ client: ClientSession) throws {
    client.close()
    clients.removeAll { $0 === client }
    try rollBack(client)
  }

  private func rollBack(_ client: ClientSession) throws {
    guard let session = client.session else { return }
    if let waiter = waiting?.0, waiter === client {
      waiting = nil
      try database.admin.query("SELECT pg_cancel_backend(\(session.process))")
      _ = try session.receive(syncs: 1)
    }
    try session.query("ROLLBACK")
    leave(client)
    try goOn()
  }

  func drop(_ machine: Machine) throws {
    for client in clients where client.machine === machine { try drop(client) }
  }

  func dropAll() throws {
    for client in clients { try drop(client) }
  }

  /// The server ends the sessions of transactions that stand still.
  func keepMoving() throws {
    for client in idle where simulation.time > client.heldSince + DatabaseProxy.patience {
      trace.add("\(client.machine?.name ?? "")/\(client.number): its transaction stood still")
      try drop(client)
    }
  }

  /// When `keepMoving` has something to do.
  var nextCheck: Int64? {
    idle.map(\.heldSince).min().map { $0 + DatabaseProxy.patience + 1 }
  }

  /// The holders that the server waits for.
  private var idle: [ClientSession] { holders.filter { $0 !== waiting?.0 } }

  // MARK: Labels

  private func sql(_ message: WireMessage) -> String {
    var position = 0
    _ = message.text(at: &position)
    return message.text(at: &position)
  }

  /// The first statement of a batch that says something.
  private func label(of batch: [WireMessage], _ client: ClientSession) -> String {
    var first: String?
    for message in batch where message.is("P") || message.is("B") {
      let label = label(message, client)
      if first == nil { first = label.text }
      if !label.isPreliminary { return label.text }
    }
    return first ?? "ping"
  }

  private func label(_ message: WireMessage, _ client: ClientSession) -> StatementLabel {
    var position = 0
    let first = message.text(at: &position)
    let second = message.text(at: &position)
    if message.is("P") {
      let label = database.label(second)
      client.labels[first] = label
      return label
    }
    return client.labels[second] ?? StatementLabel(second)
  }
}
