import Foundation

/// Whether these tests run under a sanitizer (`scripts/test sanitize`), and what that costs.
enum Sanitized {
  private static let isOn = ProcessInfo.processInfo.environment["TEST_SANITIZED"] != nil

  /// How much longer everything may take.
  static let timeFactor = isOn ? 5 : 1
  /// How much more memory a process may take: what was freed is kept for a while.
  static let memoryFactor = isOn ? 20 : 1

  /// The environment of a server process that AddressSanitizer's search for leaks is to see the end of.
  /// Not that of the tests: they leave reactors behind that have stopped in the middle of calls.
  static var serverEnvironment: [String: String] {
    let options = "detect_leaks=1:quarantine_size_mb=128"
    return ProcessInfo.processInfo.environment.merging(["ASAN_OPTIONS": options]) { $1 }
  }
}
