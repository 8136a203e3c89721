import Foundation
import JSON
import PythonPeer
import Testing

/// Compares verdicts and values with Python's json over seeded random documents.
@Suite struct JSONDifferentialTests {
  private static let seed = SeededGenerator.seed(otherwise: 8259)
  private static let cases = 4000

  /// What Python accepts and we refuse, by our reason; everything else must agree.
  private static func isStricter(_ reason: JSONParseError.Reason) -> Bool {
    switch reason {
    case .duplicateKey, .surrogateUnpaired, .tooDeep: true
    default: false
    }
  }

  @Test func agreesWithPython() throws {
    var generator = SeededGenerator(seed: Self.seed)
    let documents = (0..<Self.cases).map { _ in JSONDocumentGenerator.document(&generator) }
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/json_verdicts.py")
    let verdicts = try PythonPeer.run(script, cases: documents.map(Hexadecimal.encode))
    var accepted = 0
    var stricter = 0
    for (document, verdict) in zip(documents, verdicts) {
      let text = String(decoding: document, as: UTF8.self)
      do {
        let value = try JSON(parsing: document)
        #expect(verdict == "ok " + render(value), "seed \(Self.seed): \(text)")
        #expect(try JSON(parsing: value.serialized()) == value, "round trip of \(text)")
        accepted += 1
      } catch {
        let agrees = verdict == "reject" || verdict == "constant"
        #expect(agrees || Self.isStricter(error.reason), "seed \(Self.seed): \(error): \(text)")
        if !agrees { stricter += 1 }
      }
    }
    // The generator must reach every kind of outcome, or the comparison says nothing.
    #expect(accepted > Self.cases / 4)
    #expect(accepted < Self.cases * 3 / 4)
    #expect(stricter > 20)
    #expect(verdicts.contains("constant"))
  }

  private func render(_ value: JSON) -> String {
    switch value {
    case .null: "n"
    case .bool(let value): value ? "t" : "f"
    case .number(let value): "#" + value.text
    case .string(let value): "'" + Hexadecimal.encode(value.utf8) + "'"
    case .array(let elements): "[" + elements.map(render).joined(separator: ",") + "]"
    case .object(let object):
      "{"
        + object.members.map { render(.string($0.key)) + ":" + render($0.value) }
        .joined(separator: ",") + "}"
    }
  }
}

/// Documents near the edge of the grammar: valid ones, some with parts from outside it, some with
/// bytes changed.
private enum JSONDocumentGenerator {
  private static let numbers = [
    "0", "-0", "1", "-12", "123456789012345678", "9223372036854775808", "18446744073709551616",
    "1.5", "-0.0", "1e5", "1E-5", "2.5e+10", "1e999", "0e0",
  ]
  private static let badNumbers = ["01", "1.", ".5", "+1", "-", "1e", "0x1", "NaN", "-Infinity"]
  private static let characters = [
    "a", "é", "€", "😀", "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\ud83d\\ude00", " ", "\u{7F}",
  ]
  private static let badCharacters = [
    "\\x", "\\u12", "\\ud83d", "\\ude00", "\n", "\t", "\u{0}", "\\", "\"",
  ]
  private static let spaces = ["", "", "", " ", "\n", "\t\r "]
  private static let noise = Array("{}[]\",:\\0-.eE tfn\u{1}é".utf8) + [0x80, 0xFF, 0xED, 0xA0]

  static func document(_ generator: inout SeededGenerator) -> [UInt8] {
    if generator.oneIn(200) {
      let depth = Int.random(in: 95...105, using: &generator)
      return Array(
        (String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
    }
    var bytes = Array(value(&generator, depth: 0).utf8)
    guard generator.oneIn(3) else { return bytes }
    for _ in 0...Int.random(in: 0...2, using: &generator) {
      let position = Int.random(in: 0...bytes.count, using: &generator)
      switch Int.random(in: 0...2, using: &generator) {
      case 0: bytes.insert(generator.pick(noise), at: position)
      case 1 where position < bytes.count: bytes.remove(at: position)
      case 2 where position < bytes.count: bytes[position] = generator.pick(noise)
      default: break
      }
    }
    return bytes
  }

  private static func value(_ generator: inout SeededGenerator, depth: Int) -> String {
    let before = generator.pick(spaces)
    let after = generator.pick(spaces)
    return before + bareValue(&generator, depth: depth) + after
  }

  private static func bareValue(_ generator: inout SeededGenerator, depth: Int) -> String {
    switch Int.random(in: 0...(depth < 4 ? 9 : 4), using: &generator) {
    case 0: return generator.pick(["null", "true", "false"])
    case 1, 2: return generator.pick(generator.oneIn(12) ? badNumbers : numbers)
    case 3, 4: return string(&generator)
    case 5, 6, 7:
      let members = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
        let key =
          generator.oneIn(2)
          ? "\"k\(Int.random(in: 0...30, using: &generator))\"" : string(&generator)
        return key + generator.pick(spaces) + ":" + value(&generator, depth: depth + 1)
      }
      return "{" + members.joined(separator: ",") + (generator.oneIn(60) ? ",}" : "}")
    default:
      let elements = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
        value(&generator, depth: depth + 1)
      }
      return "[" + elements.joined(separator: ",") + (generator.oneIn(60) ? ",]" : "]")
    }
  }

  private static func string(_ generator: inout SeededGenerator) -> String {
    let parts = (0..<Int.random(in: 0...6, using: &generator)).map { _ in
      generator.pick(generator.oneIn(60) ? badCharacters : characters)
    }
    return "\"" + parts.joined() + "\""
  }
}
