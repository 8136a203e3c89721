import CLinux
import Glibc

/// Delivers signals as events of a loop, where any code may run.
package final class Signals: ReadinessHandler {
  private let descriptor: Int32
  private let loop: EventLoop
  private let received: (Int32) -> Void

  /// Blocks `signals` for the process: call it before any other thread is started, which inherits it.
  package static func block(_ signals: [Int32]) {
    var set = Signals.set(signals)
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Calls `received` on the loop for each of `signals`, which must be blocked.
  package init(
    _ signals: [Int32], loop: EventLoop, received: @escaping (Int32) -> Void
  ) throws(SystemError) {
    var set = Signals.set(signals)
    descriptor = try System.call("signalfd") {
      signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
    }
    self.loop = loop
    self.received = received
    try loop.register(descriptor, for: .readable, self)
  }

  private static func set(_ signals: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    return set
  }

  package func ready(_ readiness: Readiness) {
    var info = signalfd_siginfo()
    while read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
      received(Int32(info.ssi_signo))
    }
  }

  package func close() {
    loop.deregister(descriptor)
    System.close(descriptor)
  }
}
