import Glibc
import Synchronization

/// Ctrl-C and being told to stop: says a last word, and ends the process, though never in the middle
/// of something that must be finished.
package final class Interruption: Sendable {
  package static let shared = Interruption()

  private struct State {
    var lastWord: (@Sendable () -> Void)?
    /// Depth of what must be finished.
    var finishing = 0
    var pending: Int32?
  }

  private let state = Mutex(State())

  private init() {}

  /// To be called first of all: threads inherit that the signals wait for the one that takes them.
  package func listen() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    var thread = pthread_t()
    pthread_create(&thread, nil, { _ in Interruption.shared.takeSignals() }, nil)
  }

  private func takeSignals() -> Never {
    var signals = sigset_t()
    sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, signal) }
    while true {
      var signal: Int32 = 0
      guard sigwait(&signals, &signal) == 0 else { continue }
      let mayEnd = state.withLock { state in
        if state.finishing > 0 { state.pending = signal }
        return state.finishing == 0
      }
      if mayEnd { end(signal) }
    }
  }

  private func end(_ signal: Int32) -> Never {
    state.withLock { $0.lastWord }?()
    _exit(128 + signal)
  }

  /// What is done before the process ends; nil for nothing.
  func whenInterrupted(_ lastWord: (@Sendable () -> Void)?) {
    state.withLock { $0.lastWord = lastWord }
  }

  /// An interruption during `body` counts when it is done.
  func finishing<R>(_ body: () async throws -> R) async rethrows -> R {
    state.withLock { $0.finishing += 1 }
    defer {
      let pending = state.withLock { state in
        state.finishing -= 1
        return state.finishing == 0 ? state.pending : nil
      }
      if let pending { end(pending) }
    }
    return try await body()
  }
}
