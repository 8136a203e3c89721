import CLibpq
import Glibc

/// libpq's connection in its non-blocking mode: the only owner of the C handle.
final class LibpqConnection {
  enum Progress {
    case wantsRead
    case wantsWrite
    case connected
    case failed
  }

  enum Next {
    /// More input is needed first.
    case busy
    /// The present statement's results are complete, or there is no statement.
    case end
    case result(LibpqResult)
  }

  enum TransactionState {
    case idle
    case active
    case open
    case failed
    case unknown
  }

  /// Nil once closed, which every function of libpq takes for a failed connection.
  private var connection: OpaquePointer?
  /// Told of notices and warnings: severity, SQLSTATE, message.
  var onNotice: ((_ severity: String, _ sqlState: String, _ message: String) -> Void)?

  /// Starts connecting. Host names must have been resolved (`hostaddr`), as libpq would block on them.
  init(settings: [(keyword: String, value: String)]) throws(PostgresError) {
    var keywords = settings.map { UnsafePointer<CChar>(strdup($0.keyword)) } + [nil]
    var values = settings.map { UnsafePointer<CChar>(strdup($0.value)) } + [nil]
    defer {
      for pointer in keywords + values { free(UnsafeMutablePointer(mutating: pointer)) }
    }
    guard let connection = PQconnectStartParams(&keywords, &values, 0) else {
      throw PostgresError(.connectFailed, "out of memory for a database connection")
    }
    self.connection = connection
    if PQstatus(connection) == CONNECTION_BAD {
      throw PostgresError(.connectFailed, errorMessage)
    }
    PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(self).toOpaque())
  }

  deinit { close() }

  /// Hangs up: the server rolls back what is open.
  func close() {
    PQfinish(connection)
    connection = nil
  }

  // MARK: Connecting

  var descriptor: Int32 { PQsocket(connection) }

  /// The failure that libpq has at hand, in one line.
  var errorMessage: String { LibpqResult.oneLine(PQerrorMessage(connection)) }

  func connectPoll() -> Progress {
    switch PQconnectPoll(connection) {
    case PGRES_POLLING_READING: .wantsRead
    case PGRES_POLLING_WRITING: .wantsWrite
    case PGRES_POLLING_OK: .connected
    default: .failed
    }
  }

  /// To be called once connected: from then on nothing blocks and statements are pipelined.
  func enterPipeline() -> Bool {
    PQsetnonblocking(connection, 1) == 0 && PQenterPipelineMode(connection) == 1
  }

  func exitPipeline() -> Bool { PQexitPipelineMode(connection) == 1 }

  // MARK: Sending (false: libpq refused, see `errorMessage`)

  func send(_ sql: String, _ parameters: borrowing EncodedParameters) -> Bool {
    parameters.withPointers { types, values, lengths, formats in
      PQsendQueryParams(
        connection, sql, Int32(types.count), types.baseAddress, values.baseAddress,
        lengths.baseAddress, formats.baseAddress, 1) == 1
    }
  }

  func sendPrepare(
    _ name: String, _ sql: String, _ parameters: borrowing EncodedParameters
  ) -> Bool {
    parameters.withPointers { types, _, _, _ in
      PQsendPrepare(connection, name, sql, Int32(types.count), types.baseAddress) == 1
    }
  }

  func sendPrepared(_ name: String, _ parameters: borrowing EncodedParameters) -> Bool {
    parameters.withPointers { types, values, lengths, formats in
      PQsendQueryPrepared(
        connection, name, Int32(types.count), values.baseAddress, lengths.baseAddress,
        formats.baseAddress, 1) == 1
    }
  }

  /// Ends a run of statements that fail together; also writes what the socket takes.
  func sendSync() -> Bool { PQpipelineSync(connection) == 1 }

  /// Sends a script of several statements; only outside of pipeline mode.
  func sendScript(_ sql: String) -> Bool { PQsendQuery(connection, sql) == 1 }

  /// Writes what the socket takes; true if some is left, nil on failure.
  func flush() -> Bool? {
    switch PQflush(connection) {
    case 0: false
    case 1: true
    default: nil
    }
  }

  // MARK: Receiving

  /// Reads what the socket has; false when the connection is lost.
  func consumeInput() -> Bool { PQconsumeInput(connection) == 1 }

  func next() -> Next {
    if PQisBusy(connection) == 1 { return .busy }
    return PQgetResult(connection).map { .result(LibpqResult($0)) } ?? .end
  }

  func nextNotification() -> PostgresNotification? {
    guard let notification = PQnotifies(connection) else { return nil }
    defer { PQfreemem(notification) }
    return PostgresNotification(
      channel: String(cString: notification.pointee.relname),
      payload: String(cString: notification.pointee.extra),
      process: notification.pointee.be_pid)
  }

  var transactionState: TransactionState {
    switch PQtransactionStatus(connection) {
    case PQTRANS_IDLE: .idle
    case PQTRANS_ACTIVE: .active
    case PQTRANS_INTRANS: .open
    case PQTRANS_INERROR: .failed
    default: .unknown
    }
  }

  var backendProcess: Int32 { PQbackendPID(connection) }

  func cancellation() -> LibpqCancellation? {
    PQgetCancel(connection).map(LibpqCancellation.init)
  }

  /// The SCRAM verifier of a password: what `ALTER ROLE ... PASSWORD` takes in place of the password.
  func encryptedPassword(_ password: String, user: String) -> String? {
    guard let verifier = PQencryptPasswordConn(connection, password, user, "scram-sha-256") else {
      return nil
    }
    defer { PQfreemem(verifier) }
    return String(cString: verifier)
  }
}

/// A request to cancel what a connection is running; for a thread that may block.
final class LibpqCancellation: @unchecked Sendable {
  private let handle: OpaquePointer

  init(_ handle: OpaquePointer) { self.handle = handle }

  deinit { PQfreeCancel(handle) }

  /// Connects to the server and asks; nil once it has taken the request, else the reason.
  func send() -> String? {
    var reason = [CChar](repeating: 0, count: 256)
    if PQcancel(handle, &reason, Int32(reason.count)) == 1 { return nil }
    return reason.withUnsafeBufferPointer { LibpqResult.oneLine($0.baseAddress) }
  }
}

private func receiveNotice(_ context: UnsafeMutableRawPointer?, _ notice: OpaquePointer?) {
  guard let context, let notice else { return }
  let connection = Unmanaged<LibpqConnection>.fromOpaque(context).takeUnretainedValue()
  func field(_ letter: Unicode.Scalar) -> String {
    PQresultErrorField(notice, Int32(letter.value)).map { String(cString: $0) } ?? ""
  }
  connection.onNotice?(field("V"), field("C"), field("M"))
}
