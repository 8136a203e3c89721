import Glibc

/// Stands between the machines and the real server. It lets one transaction through at a time, in the order of
/// the virtual time, and does to them what networks and servers do.
final class DatabaseProxy {
  /// How long a transaction may stand still before the server ends its session: nobody else gets in.
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
  /// Who has a transaction open, and since when it has stood still.
  private var holder: ClientSession?
  private var heldSince: Int64 = 0

  private var trace: Trace { simulation.trace }

  /// - Parameter folder: where its socket is made.
  init(_ simulation: Simulation, folder: String, _ database: SimulatedDatabase) throws {
    self.simulation = simulation
    self.database = database
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
    while true {
      let descriptor = accept(listening, nil, nil)
      if descriptor < 0 { break }
      _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
      var size: Int32 = 4 << 20
      setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, 4)
      clientsSeen += 1
      clients.append(ClientSession(clientsSeen, descriptor, scratch))
    }
    for client in clients where client.machine == nil || client.machine === machine {
      let wasKnown = client.machine != nil
      guard client.receive(find: { self.simulation.machine($0) }) else {
        try drop(client)
        continue
      }
      if !wasKnown, let machine = client.machine {
        trace.add("\(machine.name) connects as \(client.user)")
        simulation.after(simulation.latency()) {
          if !machine.isCutOff { client.welcome() }
        }
      }
      send(client)
    }
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
    if fault == .slowBefore { delay += simulation.faults.slowness(isInside: holder === client) }
    simulation.after(delay) { [self] in
      arrived.append((client, batch, fault))
      try serve()
    }
  }

  // MARK: The server

  /// Serves what has arrived, as long as no other transaction is open.
  func serve() throws {
    while let index = arrived.firstIndex(where: { holder == nil || $0.client === holder }) {
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
    let answers: [WireMessage]
    switch fault {
    case .serializationFailure: answers = try refuse(client, batch, "40001")
    case .deadlock: answers = try refuse(client, batch, "40P01")
    default: answers = try answer(client, batch)
    }
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
    if fault == .slowAfter { delay += simulation.faults.slowness(isInside: holder === client) }
    simulation.after(delay) { [self] in
      if machine.isCutOff || client.isClosed { return try drop(client) }
      client.isBusy = false
      if holder === client { heldSince = simulation.time }
      client.send(answers)
      send(client)
    }
  }

  private func answer(_ client: ClientSession, _ batch: [WireMessage]) throws -> [WireMessage] {
    if batch.count == 1 { return [.ready(client.status)] }
    let texts = batch.filter { $0.is("P") }.map(sql)
    if texts.contains(where: { $0.hasPrefix("LISTEN") }) {
      for text in texts { client.channels.insert(text.dropFirst(7).filter { $0 != "\"" }) }
      return pretend(batch, "LISTEN", status: "I")
    }
    if client.isUndone { return afterUndoing(client, batch) }
    guard let session = database.sessions[client.user], let machine = client.machine else {
      return []
    }
    var translation = StatementTranslation(client, session, simulation.mutation)
    let answers = try translation.run(
      batch, names: &database.statementNames, clock: simulation.timestamp, machine: machine.name)
    for answer in answers where answer.is("Z") { client.status = Unicode.Scalar(answer.body[0]) }
    let wasOpen = holder === client
    holder = client.status == "I" ? nil : client
    heldSince = simulation.time
    if holder == nil, client.user.hasSuffix("_app") { try announce() }
    if wasOpen && holder == nil { simulation.after(0) { [self] in try serve() } }
    return answers
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
  ) throws -> [WireMessage] {
    if batch.count == 1 || client.isUndone { return try answer(client, batch) }
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
  private func announce() throws {
    var bytes: [UInt8] = []
    WireMessage.sync.append(to: &bytes)
    for notice in try database.notices.exchange(bytes, syncs: 1) where notice.is("A") {
      var position = 4
      let channel = notice.text(at: &position)
      for client in clients where client.channels.contains(channel) {
        simulation.after(simulation.latency()) {
          if !(client.machine?.isCutOff ?? true) { client.send([notice]) }
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
    guard holder === client else { return }
    holder = nil
    try database.sessions[client.user]?.query("ROLLBACK")
    simulation.after(0) { [self] in try serve() }
  }

  func drop(_ machine: Machine) throws {
    for client in clients where client.machine === machine { try drop(client) }
  }

  func dropAll() throws {
    for client in clients { try drop(client) }
  }

  /// The server ends the session of a transaction that stands still.
  func keepMoving() throws {
    guard let client = holder, simulation.time - heldSince > DatabaseProxy.patience else { return }
    trace.add("\(client.machine?.name ?? "")/\(client.number): its transaction stood still")
    try drop(client)
  }

  /// When `keepMoving` has something to do.
  var nextCheck: Int64? { holder == nil ? nil : heldSince + DatabaseProxy.patience + 1 }

  // MARK: Labels

  private func sql(_ message: WireMessage) -> String {
    var position = 0
    _ = message.text(at: &position)
    return message.text(at: &position)
  }

  /// The first statement of a batch that says something.
  private func label(of batch: [WireMessage], _ client: ClientSession) -> String {
    var first: String?
    for message in batch {
      guard message.is("P") || message.is("B") else { continue }
      let text = label(message, client)
      if first == nil { first = text }
      if !text.hasPrefix("BEGIN"), !text.contains("'storeplane.tenant'") { return text }
    }
    return first ?? "ping"
  }

  private func label(_ message: WireMessage, _ client: ClientSession) -> String {
    var position = 0
    let first = message.text(at: &position)
    let second = message.text(at: &position)
    if message.is("P") {
      let text = database.label(second)
      client.labels[first] = text
      return text
    }
    return client.labels[second] ?? second
  }
}
