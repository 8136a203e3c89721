/// How storectl ends. Scripts rely on the numbers.
package enum StorectlExit: Int32, CaseIterable, Sendable {
  /// The operation failed, or something that no other number stands for.
  case failed = 1
  case usage = 2
  case notFound = 3
  case denied = 4
  case conflict = 5
  case invalid = 6
  case unavailable = 7
  case timedOut = 8
  case interrupted = 130

  static let help = """
    Exit codes:
      0    done
      1    the operation failed, or another error
      2    wrong usage
      3    not found
      4    not signed in, or not allowed
      5    a conflict with what there is
      6    invalid input
      7    unavailable or rate limited: try later
      8    out of time
      130  interrupted
    """
}

/// Why a command ends early, in words for its user.
struct CommandFailure: Error, Equatable {
  let status: StorectlExit
  /// What is wrong and what would help; lines of it.
  let message: String

  init(_ status: StorectlExit, _ message: String) {
    self.status = status
    self.message = message
  }

  static func usage(_ message: String) -> CommandFailure { CommandFailure(.usage, message) }
}
