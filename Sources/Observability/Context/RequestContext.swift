/// What the work under way inherits, child tasks and asynchronous work included: one task-local value
/// for all of it, since each costs every call.
package final class RequestScope: Sendable {
  @TaskLocal package static var current: RequestScope?

  package let context: RequestContext?
  /// When whoever asked gives up, in nanoseconds of the reactor's clock.
  package let deadline: UInt64

  package init(context: RequestContext?, deadline: UInt64) {
    self.context = context
    self.deadline = deadline
  }
}

/// Whom a piece of work is done for. It rides in a task-local value, so that every line logged below
/// it carries it.
package struct RequestContext: Sendable, Hashable {
  package var requestID: RequestID
  package var trace: TraceContext?
  /// One object for all names, and none for the many calls without: contexts are copied for every call.
  private var subject: Subject?

  private final class Subject: Sendable, Hashable {
    struct Names: Sendable, Hashable {
      var tenant: String?
      var store: String?
      var operation: String?
      var principal: String?
    }

    let names: Names

    init(_ names: Names) { self.names = names }

    static func == (left: Subject, right: Subject) -> Bool { left.names == right.names }
    func hash(into hasher: inout Hasher) { names.hash(into: &hasher) }
  }

  package init(
    requestID: RequestID, trace: TraceContext? = nil, tenant: String? = nil, store: String? = nil,
    operation: String? = nil, principal: String? = nil
  ) {
    self.init(requestID: requestID, trace: trace)
    names = Subject.Names(
      tenant: tenant, store: store, operation: operation, principal: principal)
  }

  /// What a call brings.
  package init(requestID: RequestID, trace: TraceContext?) {
    self.requestID = requestID
    self.trace = trace
  }

  private var names: Subject.Names {
    get { subject?.names ?? Subject.Names() }
    set { subject = newValue == Subject.Names() ? nil : Subject(newValue) }
  }

  package var tenant: String? {
    get { names.tenant }
    set { names.tenant = newValue }
  }
  package var store: String? {
    get { names.store }
    set { names.store = newValue }
  }
  package var operation: String? {
    get { names.operation }
    set { names.operation = newValue }
  }
  /// Who asked, as the audit trail names them: `user:…`, `key:…` or `service:…`.
  package var principal: String? {
    get { names.principal }
    set { names.principal = newValue }
  }

  /// The context of the work under way; nil outside any request (start, timers of the service's own).
  package static var current: RequestContext? { RequestScope.current?.context }

  /// The present scope with this context in it.
  package var scope: RequestScope {
    RequestScope(context: self, deadline: RequestScope.current?.deadline ?? .max)
  }

  /// Runs `work` with this context as `current`.
  package func run<Result, Failure: Error>(
    _ work: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let outcome = RequestScope.$current.withValue(scope) { () -> Swift.Result<Result, Failure> in
      do throws(Failure) { return .success(try work()) } catch { return .failure(error) }
    }
    return try outcome.get()
  }

  /// Runs `work` with this context as `current`, on the caller's actor.
  package nonisolated(nonsending) func run<Result>(
    _ work: nonisolated(nonsending) () async throws -> Result
  ) async rethrows -> Result {
    try await RequestScope.$current.withValue(scope, operation: work)
  }

  /// Runs `work` with what is given added to the current context: how a handler names the store or the
  /// operation once it knows them. Without a current context, `work` simply runs.
  package static nonisolated(nonsending) func adding<Result>(
    tenant: String? = nil, store: String? = nil, operation: String? = nil,
    principal: String? = nil, _ work: nonisolated(nonsending) () async throws -> Result
  ) async rethrows -> Result {
    guard var context = current else { return try await work() }
    if let tenant { context.tenant = tenant }
    if let store { context.store = store }
    if let operation { context.operation = operation }
    if let principal { context.principal = principal }
    return try await context.run(work)
  }
}

/// Names one request in logs, in calls to other services and in the audit trail.
package struct RequestID: Sendable, Hashable, CustomStringConvertible {
  package static let bytesMaximum = 128
  private static let digitCount = 32

  private let form: Form

  /// Most ids are 32 lowercase hex digits, which need no memory of their own.
  private enum Form: Hashable {
    case digits(high: UInt64, low: UInt64)
    case text(String)
  }

  /// An id that came from outside: letters, digits and `._-`, 1 to 128 of them. nil otherwise: the
  /// receiver then makes one of its own, so that nothing strange reaches logs and headers.
  package init?(_ bytes: UnsafeBufferPointer<UInt8>) {
    if bytes.count == Self.digitCount, let high = Hex.value16(bytes, at: 0),
      let low = Hex.value16(bytes, at: 16)
    {
      form = .digits(high: high, low: low)
      return
    }
    guard (1...Self.bytesMaximum).contains(bytes.count), bytes.allSatisfy(Self.isAllowed) else {
      return nil
    }
    form = .text(String(decoding: bytes, as: UTF8.self))
  }

  package init?(_ text: String) {
    var text = text
    guard let id = text.withUTF8({ RequestID($0) }) else { return nil }
    self = id
  }

  /// 32 lowercase hex digits.
  package init(using generator: inout some RandomNumberGenerator) {
    form = .digits(high: generator.next(), low: generator.next())
  }

  package var text: String {
    switch form {
    case .digits(let high, let low): Hex.text(high) + Hex.text(low)
    case .text(let text): text
    }
  }

  /// Gives the text to `body` without making a string of it: every call that is made sends it.
  package func withText(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
    switch form {
    case .digits(let high, let low):
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.digitCount) { text in
        Hex.write(high, into: text, at: 0)
        Hex.write(low, into: text, at: 16)
        body(UnsafeBufferPointer(text))
      }
    case .text(var text): text.withUTF8(body)
    }
  }

  package var description: String { text }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    // A bit for each ASCII character, from 0 and from 64 on.
    let allowed: UInt64 = byte < 64 ? 0x03FF_6000_0000_0000 : 0x07FF_FFFE_87FF_FFFE
    return byte < 128 && allowed >> UInt64(byte & 63) & 1 == 1
  }
}
