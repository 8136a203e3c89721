package import Foundation

/// Runs a Python script of the test suite over a batch of cases, to compare our verdicts with
/// those of another implementation.
package enum PythonPeer {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// Runs the script with a file of `cases`, one a line, and returns the lines it prints.
  package static func run(_ script: URL, cases: [String]) throws -> [String] {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let python = root.appendingPathComponent(".venv/bin/python")
    guard FileManager.default.isExecutableFile(atPath: python.path) else {
      throw Failure(description: "\(python.path) is missing; run scripts/venv first")
    }
    let input = FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-cases-\(UUID().uuidString)")
    try cases.joined(separator: "\n").write(to: input, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: input) }

    let process = Process()
    let output = Pipe()
    process.executableURL = python
    process.arguments = [script.path, input.path]
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(
        description: "\(script.lastPathComponent) exited with \(process.terminationStatus)")
    }
    let lines = String(decoding: data, as: UTF8.self).split(separator: "\n").map(String.init)
    guard lines.count == cases.count else {
      throw Failure(description: "\(lines.count) verdicts for \(cases.count) cases")
    }
    return lines
  }

  /// The same for a test with others beside it: on a thread of the global pool, which has one a processor,
  /// the script would hold them up.
  package static func runOnItsOwnThread(
    _ script: URL, cases: [String]
  ) async throws -> [String] {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try run(script, cases: cases) })
      }
    }
  }
}

/// Seeded randomness (SplitMix64), so that a case found by fuzzing can be found again.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  package init(seed: UInt64) {
    state = seed
  }

  /// FUZZ_SEED from the environment, to try other cases than the usual ones.
  package static func seed(otherwise seed: UInt64) -> UInt64 {
    ProcessInfo.processInfo.environment["FUZZ_SEED"].flatMap { UInt64($0) } ?? seed
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// True once in `count` times.
  package mutating func oneIn(_ count: Int) -> Bool {
    Int.random(in: 0..<count, using: &self) == 0
  }

  package mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements[Int.random(in: 0..<elements.count, using: &self)]
  }
}

package enum Hexadecimal {
  private static let digits = Array("0123456789abcdef".utf8)

  package static func encode(_ bytes: some Sequence<UInt8>) -> String {
    var text: [UInt8] = []
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Nil where the text is not pairs of digits.
  package static func decode(_ text: String) -> [UInt8]? {
    let values = text.utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
    guard values.count.isMultiple(of: 2), !values.contains(nil) else { return nil }
    let digits = values.compactMap(\.self)
    return stride(from: 0, to: digits.count, by: 2).map {
      UInt8(digits[$0] << 4 | digits[$0 + 1])
    }
  }
}
