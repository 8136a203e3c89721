import Contracts
import Protobuf
import PythonPeer
import TestKit
import Testing

struct FuzzTests {
  /// Decodes, and what was accepted must survive another round unchanged.
  private func tryOut<Message: ProtobufMessage>(_ type: Message.Type, _ bytes: [UInt8]) -> Bool {
    do throws(ProtobufError) {
      let message = try Message(serialized: bytes)
      let again = message.serialized()
      #expect(try Message(serialized: again).serialized() == again, "bytes: \(bytes)")
      return true
    } catch {
      #expect(error.reason != .notUnpacked, "bytes: \(bytes)")
      return false
    }
  }

  @Test(arguments: [101, 102] as [UInt64]) func survivesRandomBytes(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<3_000 {
      let bytes = (0..<Int.random(in: 0..<64, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      _ = tryOut(TestingV1.AllKinds.self, bytes)
      _ = tryOut(TestingV1.Choices.self, bytes)
      _ = tryOut(GoogleProtobuf.Value.self, bytes)
      _ = tryOut(GoogleRPC.Status.self, bytes)
    }
  }

  /// Random fields with valid tags get further in than random bytes do.
  @Test(arguments: [201, 202] as [UInt64]) func survivesRandomFields(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<3_000 {
      let bytes = randomMessage(depth: 0, using: &random)
      if tryOut(TestingV1.AllKinds.self, bytes) { accepted += 1 }
      if tryOut(TestingV1.Choices.self, bytes) { accepted += 1 }
      if tryOut(TestingV1.Maps.self, bytes) { accepted += 1 }
      if tryOut(TestingV1.Nested.self, bytes) { accepted += 1 }
      if tryOut(GoogleProtobuf.Struct.self, bytes) { accepted += 1 }
    }
    #expect(accepted > 100)
  }

  private func randomMessage(depth: Int, using random: inout SeededGenerator) -> [UInt8] {
    (0..<Int.random(in: 0..<4, using: &random)).flatMap { _ -> [UInt8] in
      let number = UInt64.random(in: 1...26, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: return Wire.field(number, varint: random.next() >> (random.next() % 64))
      case 1: return Wire.tag(number, 1) + [UInt8](repeating: 7, count: 8)
      case 2: return Wire.tag(number, 5) + [UInt8](repeating: 7, count: 4)
      case 3: return Wire.field(number, Array("text".utf8))
      default:
        return Wire.field(number, depth < 5 ? randomMessage(depth: depth + 1, using: &random) : [])
      }
    }
  }
}
