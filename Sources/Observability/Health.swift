import Synchronization

/// What `/healthz` and `/readyz` answer. Checks report their results here when they have them; nothing
/// is checked while a probe waits.
package final class HealthRegistry: Sendable {
  package static let checksMaximum = 32
  package static let reasonBytesMaximum = 256

  /// The answer to a probe: `statusCode` 200 or 503, and a JSON body.
  package struct Report: Sendable, Hashable {
    package let isHealthy: Bool
    package let body: String

    package var statusCode: Int { isHealthy ? 200 : 503 }
    package static let contentType = "application/json"
  }

  private struct Check {
    let name: String
    var failure: String?
  }

  private struct State {
    var checks: [Check] = []
    var fatal: String?
    var isDraining = false
  }

  private let state = Mutex(State())

  package init() {}

  /// Adds a named readiness check, which fails until its first result. A name is given once.
  package func addCheck(_ name: String) -> ReadinessCheck {
    state.withLock { state in
      precondition(
        state.checks.count < Self.checksMaximum, "at most \(Self.checksMaximum) readiness checks")
      precondition(
        !state.checks.contains { $0.name == name }, "the check \(name) is there already")
      state.checks.append(Check(name: name, failure: "not checked yet"))
      return ReadinessCheck(name: name, index: state.checks.count - 1, registry: self)
    }
  }

  /// Not ready from now on, so that no new work is sent here; still alive.
  package func beginDraining() {
    state.withLock { $0.isDraining = true }
  }

  /// Something that only a restart mends.
  package func declareDead(_ reason: String) {
    state.withLock { $0.fatal = Self.bounded(reason) }
  }

  /// `/healthz`: whether the process should be left running.
  package func liveness() -> Report {
    guard let fatal = state.withLock({ $0.fatal }) else {
      return Report(isHealthy: true, body: #"{"status":"alive"}"#)
    }
    return Report(isHealthy: false, body: #"{"status":"dead","reason":\#(Self.quoted(fatal))}"#)
  }

  /// `/readyz`: whether it should be sent work, and what each check last said.
  package func readiness() -> Report {
    let (checks, isDraining, fatal) = state.withLock { ($0.checks, $0.isDraining, $0.fatal) }
    let isReady = !isDraining && fatal == nil && checks.allSatisfy { $0.failure == nil }
    var body = #"{"status":"\#(isReady ? "ready" : "not ready")""#
    if let fatal {
      body += #","reason":\#(Self.quoted(fatal))"#
    } else if isDraining {
      body += #","reason":"shutting down""#
    }
    let list = checks.map { check in
      let name = #"{"name":\#(Self.quoted(check.name)),"#
      guard let failure = check.failure else { return name + #""status":"pass"}"# }
      return name + #""status":"fail","reason":\#(Self.quoted(failure))}"#
    }
    return Report(isHealthy: isReady, body: body + #","checks":[\#(list.joined(separator: ","))]}"#)
  }

  fileprivate func record(_ failure: String?, at index: Int) -> Bool {
    state.withLock { state in
      let changed = (state.checks[index].failure == nil) != (failure == nil)
      state.checks[index].failure = failure.map(Self.bounded)
      return changed
    }
  }

  private static func bounded(_ reason: String) -> String {
    reason.utf8.count <= reasonBytesMaximum
      ? reason : String(decoding: reason.utf8.prefix(reasonBytesMaximum), as: UTF8.self)
  }

  private static func quoted(_ text: String) -> String {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: LineBuffer.bytesMaximum) { storage in
      var line = LineBuffer(storage: storage)
      line.append(UInt8(ascii: "\""))
      line.appendEscaped(text, bytesMaximum: reasonBytesMaximum)
      line.append(UInt8(ascii: "\""))
      return String(decoding: line.bytes, as: UTF8.self)
    }
  }
}

/// One named thing that must be well before work is sent here: a database, an upstream, migrations.
package struct ReadinessCheck: Sendable {
  package let name: String
  fileprivate let index: Int
  fileprivate let registry: HealthRegistry

  /// True when this changed the result: the moment for a log line.
  @discardableResult
  package func pass() -> Bool {
    registry.record(nil, at: index)
  }

  /// - Parameter reason: for an operator; without secrets, at most 256 bytes of it are kept.
  @discardableResult
  package func fail(_ reason: String) -> Bool {
    registry.record(reason, at: index)
  }
}
