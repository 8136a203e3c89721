import Contracts
import Descriptors
import Foundation
import JSON
import PythonPeer
import Testing
import Transcoding

/// Converts seeded random messages both ways and lets Python's json_format judge.
@Suite(.timeLimit(.minutes(2))) struct DifferentialTests {
  private static let seed = 20_261_121
  private static let cases = 400

  @Test func agreesWithPython() throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/json_format_peer.py")
    let set = FileManager.default.temporaryDirectory
      .appendingPathComponent("storeplane-descriptors-\(UUID().uuidString)")
    try Data(DescriptorSet.serialized).write(to: set)
    defer { try? FileManager.default.removeItem(at: set) }

    let seeds = Self.seed..<Self.seed + Self.cases
    let generated = try PythonPeer.run(
      script, cases: seeds.map { "generate \(set.path) \($0)" })
    let transcoder = try Contract.transcoder()
    let type = try Contract.type("AllKinds", transcoder.pool)
    var questions: [String] = []
    for (seed, line) in zip(seeds, generated) {
      let parts = line.split(separator: " ", omittingEmptySubsequences: false).map(Self.bytes)
      do {
        let message = try transcoder.message(JSON(parsing: parts[1]), type)
        let document = try transcoder.json(parts[0], type)
        questions.append(
          "verify \(set.path) \(Hexadecimal.encode(parts[0])) \(Hexadecimal.encode(message)) "
            + Hexadecimal.encode(document))
      } catch {
        Issue.record("seed \(seed): \(error)")
      }
    }
    let verdicts = try PythonPeer.run(script, cases: questions)
    for (seed, verdict) in zip(seeds, verdicts) { #expect(verdict == "same", "seed \(seed)") }
  }

  private static func bytes(_ hexadecimal: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in hexadecimal.utf8 {
      let value = digit < UInt8(ascii: "a") ? digit - UInt8(ascii: "0") : digit - 87
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return bytes
  }
}
