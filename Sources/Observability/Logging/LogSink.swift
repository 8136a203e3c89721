import Glibc
import Synchronization

/// Where log lines go: a file descriptor, one system call a line.
///
/// A reader that does not keep up must not stop the service: a lease has to be renewed whether or not
/// somebody reads the log. So a line that the descriptor does not take at once is dropped and counted,
/// and the number is logged when lines pass again. The descriptor's own flags are left alone, since they
/// are shared with whoever else holds it: poll(2) is asked first, and a pipe that has room takes a line
/// of PIPE_BUF bytes without blocking. SIGPIPE is to be ignored by the process. (The audit trail does not go through here.)
final class LogSink: Sendable {
  private let descriptor: Int32
  private let isSocket: Bool
  /// One line at a time: room that poll(2) has seen is not taken by another thread.
  private let turn = Mutex(())
  private let unreported = Atomic<Int>(0)
  private let dropped = Atomic<Int>(0)

  /// - Parameter descriptor: stays the caller's.
  init(descriptor: Int32) {
    self.descriptor = descriptor
    var kind: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    isSocket = getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &kind, &length) == 0
  }

  var isTerminal: Bool { isatty(descriptor) == 1 }

  /// Lines lost since the start.
  var droppedLines: Int { dropped.load(ordering: .relaxed) }

  /// Lines lost that no line has told of yet.
  var unreportedLines: Int { unreported.load(ordering: .relaxed) }

  func didReport(_ lines: Int) {
    unreported.wrappingSubtract(lines, ordering: .relaxed)
  }

  func countDropped() {
    unreported.wrappingAdd(1, ordering: .relaxed)
    dropped.wrappingAdd(1, ordering: .relaxed)
  }

  /// Writes a whole line, its newline included; false when it was not taken.
  func write(_ line: UnsafeRawBufferPointer) -> Bool {
    turn.withLock { _ in
      var written = 0
      while written < line.count {
        guard isWritable() else { return false }
        let rest = UnsafeRawBufferPointer(rebasing: line[written...])
        let result =
          isSocket
          ? send(descriptor, rest.baseAddress, rest.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
          : Glibc.write(descriptor, rest.baseAddress, rest.count)
        if result > 0 {
          written += result
        } else if result == 0 || errno != EINTR {
          return false
        }
      }
      return true
    }
  }

  private func isWritable() -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    while true {
      let count = poll(&request, 1, 0)
      if count >= 0 { return count == 1 && request.revents & Int16(POLLOUT) != 0 }
      if errno != EINTR { return false }
    }
  }
}
