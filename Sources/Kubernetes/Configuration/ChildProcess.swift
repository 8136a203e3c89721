import CLinux
import Glibc
import Reactor

/// Runs a program to its end, without input, within limits. Blocks: for a thread of a blocking pool.
struct ChildProcess {
  struct Limits {
    /// Then the program and what it has started are killed.
    var deadlineMilliseconds: Int32 = 30_000
    /// Of standard output; a program that writes more is killed.
    var outputBytesMax = 256 * 1024
    /// What is kept of standard error.
    var diagnosticBytesMax = 2 * 1024
  }

  enum Failure: Error, Equatable {
    case notStarted(code: Int32)
    case deadlinePassed
    case outputTooLarge
    case failed(code: Int32)
  }

  struct Outcome {
    var failure: Failure?
    var output: [UInt8] = []
    var diagnostic: [UInt8] = []
  }

  private static let reapIntervalMilliseconds: Int32 = 5

  let path: String
  let arguments: [String]
  /// Added to this process's own, replacing what has the same name.
  let environment: [(name: String, value: String)]
  var limits = Limits()

  func run() -> Outcome {
    guard let output = Pipe(), let diagnostic = Pipe() else {
      return Outcome(failure: .notStarted(code: errno))
    }
    let process: pid_t
    do throws(SystemError) {
      process = try System.spawn(
        path, arguments, environment: mergedEnvironment(), output: output.writing,
        diagnostic: diagnostic.writing)
    } catch {
      return Outcome(failure: .notStarted(code: error.code))
    }
    output.closeWriting()
    diagnostic.closeWriting()
    var outcome = Outcome()
    let deadline = Self.milliseconds() + Int64(limits.deadlineMilliseconds)
    collect(output.reading, diagnostic.reading, until: deadline, into: &outcome)
    let status = reap(process, until: deadline, &outcome)
    if outcome.failure == nil, status != 0 {
      let isExit = status & 0x7F == 0
      outcome.failure = .failed(code: isExit ? status >> 8 & 0xFF : 128 + (status & 0x7F))
    }
    return outcome
  }

  /// Waits for the end of a program that has closed its output, or is to be killed.
  private func reap(_ process: pid_t, until deadline: Int64, _ outcome: inout Outcome) -> Int32 {
    var status: Int32 = 0
    while outcome.failure == nil {
      let result = waitpid(process, &status, WNOHANG)
      if result == process { return status }
      if Self.milliseconds() >= deadline {
        outcome.failure = .deadlinePassed
      } else {
        poll(nil, 0, Self.reapIntervalMilliseconds)
      }
    }
    kill(-process, SIGKILL)
    while waitpid(process, &status, 0) == -1, errno == EINTR {}
    return status
  }

  private func mergedEnvironment() -> [String] {
    var merged: [String] = []
    var entry = environ
    while let text = entry.pointee {
      let pair = String(cString: text)
      let name = pair.prefix { $0 != "=" }
      if !environment.contains(where: { $0.name == name }) { merged.append(pair) }
      entry += 1
    }
    return merged + environment.map { "\($0.name)=\($0.value)" }
  }

  /// Reads both pipes to their ends, or sets `failure`.
  private func collect(
    _ output: Int32, _ diagnostic: Int32, until deadline: Int64, into outcome: inout Outcome
  ) {
    var descriptors = [
      pollfd(fd: output, events: Int16(POLLIN), revents: 0),
      pollfd(fd: diagnostic, events: Int16(POLLIN), revents: 0),
    ]
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    while descriptors.contains(where: { $0.fd >= 0 }) {
      let left = deadline - Self.milliseconds()
      if left <= 0 {
        outcome.failure = .deadlinePassed
        return
      }
      if poll(&descriptors, 2, Int32(left)) <= 0 { continue }
      for index in 0..<2 where descriptors[index].revents != 0 {
        let count = read(descriptors[index].fd, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        if count <= 0 {
          descriptors[index].fd = -1
        } else if index == 0 {
          outcome.output += buffer[..<count]
        } else {
          let room = limits.diagnosticBytesMax - outcome.diagnostic.count
          outcome.diagnostic += buffer[..<min(count, room)]
        }
      }
      if outcome.output.count > limits.outputBytesMax {
        outcome.failure = .outputTooLarge
        return
      }
    }
  }

  private static func milliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

/// Both ends of a pipe, closed when it goes.
private final class Pipe {
  let reading: Int32
  private(set) var writing: Int32

  init?() {
    var ends: [Int32] = [-1, -1]
    guard storeplane_pipe(&ends) == 0 else { return nil }
    reading = ends[0]
    writing = ends[1]
  }

  deinit {
    close(reading)
    closeWriting()
  }

  func closeWriting() {
    if writing >= 0 { close(writing) }
    writing = -1
  }
}
