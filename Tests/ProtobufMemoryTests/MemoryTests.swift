import CMalloc
import Contracts
import Protobuf
import TestKit
import Testing

/// What a message is said to take in memory, beside what the allocator says it does: a module of its
/// own, so that no other test's memory is counted.
@Suite(.serialized) struct MemoryTests {
  private static let count = 20_000

  /// What `decode` says of `fields`, many times over, and what the allocator gave out meanwhile.
  private func measure<Message: ProtobufMessage>(
    _ type: Message.Type, _ field: (Int) -> [UInt8]
  ) throws -> (said: Int, taken: Int, wire: Int) {
    let bytes = (0..<MemoryTests.count).flatMap(field)
    var said = 0
    let before = allocatedBytes()
    let message = try bytes.withUnsafeBytes { try Message(serialized: $0, memoryBytes: &said) }
    let taken = allocatedBytes() - before
    withExtendedLifetime(message) {}
    return (said, taken, bytes.count)
  }

  private func allocatedBytes() -> Int {
    let info = mallinfo2()
    return Int(info.uordblks + info.hblkhd)
  }

  private func expectHonest(_ memory: (said: Int, taken: Int, wire: Int)) {
    // What the test's own runtime allocates meanwhile is little beside this.
    #expect(memory.taken < memory.said + 200_000)
    #expect(memory.said >= memory.wire)
    #expect(memory.said < 16 * memory.taken)
  }

  @Test func countsTextsBytesAndMessages() throws {
    expectHonest(try measure(TestingV1.Nested.self) { _ in Wire.field(2, []) })
    expectHonest(
      try measure(TestingV1.Nested.self) { _ in Wire.field(2, Wire.field(1, Wire.field(2, []))) })
    expectHonest(try measure(TestingV1.Repeated.self) { _ in Wire.field(15, [1]) })
    expectHonest(
      try measure(TestingV1.Repeated.self) { _ in Wire.field(14, Array(repeating: 65, count: 16)) })
    expectHonest(
      try measure(TestingV1.Maps.self) {
        Wire.field(1, Wire.field(1, Array("\($0)".utf8)))
      })
    expectHonest(try measure(ProvisionerV1.ListStoresResponse.self) { _ in Wire.field(1, []) })
    expectHonest(try measure(AuditV1.ListEventsResponse.self) { _ in Wire.field(1, []) })
    expectHonest(try measure(GoogleProtobuf.ListValue.self) { _ in Wire.field(1, []) })
    expectHonest(
      try measure(GoogleProtobuf.ListValue.self) { _ in Wire.field(1, Wire.field(6, [])) })
  }

  @Test func countsAnEmptyMessage() throws {
    var memoryBytes = 0
    _ = try TestingV1.EchoRequest(
      serialized: UnsafeRawBufferPointer(start: nil, count: 0), memoryBytes: &memoryBytes)
    #expect(memoryBytes >= 2 * MemoryLayout<TestingV1.EchoRequest>.stride)
  }
}
