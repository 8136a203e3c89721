import ArgumentParser
import Foundation

extension StorectlCommand {
  /// Parses the arguments of the process, runs the command, and returns the exit code.
  package static func run() async -> Int32 {
    let errors = Terminal(.error, environment: ProcessInfo.processInfo.environment)
    do {
      var command = try parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
      return 0
    } catch let failure as CommandFailure {
      errors.line(errors.styled("error:", .red) + " " + failure.message)
      return failure.status.rawValue
    } catch {
      return end(error, errors)
    }
  }

  /// Of the argument parser: help and the like, or wrong usage.
  private static func end(_ error: any Error, _ errors: Terminal) -> Int32 {
    let message = fullMessage(for: error)
    switch exitCode(for: error) {
    case .success:
      if !message.isEmpty { print(message) }
      return 0
    case .validationFailure:
      errors.line(message)
      return StorectlExit.usage.rawValue
    default:
      errors.line(message)
      return StorectlExit.failed.rawValue
    }
  }
}
