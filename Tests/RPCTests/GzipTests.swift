import Foundation
import RPCCore
import Testing

@Suite struct GzipTests {
  private func compress(_ bytes: [UInt8]) -> [UInt8] {
    bytes.withUnsafeBytes { Gzip.compress($0) }
  }

  private func decompress(_ bytes: [UInt8], max: Int) throws(RPCError) -> [UInt8] {
    var inflatedBytes = 0
    return try decompress(bytes, max: max, &inflatedBytes)
  }

  private func decompress(
    _ bytes: [UInt8], max: Int, _ inflatedBytes: inout Int
  ) throws(RPCError) -> [UInt8] {
    try bytes.withUnsafeBufferPointer { buffer throws(RPCError) in
      try Gzip.decompress(
        UnsafeRawBufferPointer(buffer), bytesMax: max, inflatedBytes: &inflatedBytes)
    }
  }

  @Test(arguments: [0, 1, 255, 256, 257, 100_000]) func whatGoesInComesOut(size: Int) throws {
    let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 3) }
    #expect(try decompress(compress(bytes), max: size) == bytes)
  }

  @Test func headroomIsLeftFree() {
    let bytes = [UInt8](repeating: 7, count: 10).withUnsafeBytes {
      Gzip.compress($0, headroom: 5)
    }
    #expect(Array(bytes.prefix(7)) == [0, 0, 0, 0, 0, 0x1F, 0x8B])
  }

  @Test func nothingPastTheLimitIsInflated() {
    let bomb = compress([UInt8](repeating: 0, count: 50_000_000))
    #expect(bomb.count < 100_000)
    #expect(
      throws: RPCError(
        .resourceExhausted, "the message inflates to more than the limit of 1000 bytes")
    ) { try self.decompress(bomb, max: 1000) }
  }

  @Test func whatIsDamagedIsRefused() {
    let good = compress(Array("hello hello hello".utf8))
    var flipped = good
    flipped[good.count - 6] ^= 1
    let bad = [[], [1, 2, 3], Array(good.dropLast()), good + [0], good + good, flipped]
    for bytes in bad {
      let error = #expect(throws: RPCError.self) { try self.decompress(bytes, max: 1000) }
      #expect(error?.code == .internal)
    }
  }
  /// Whatever becomes of the message: it has cost as much.
  @Test func whatWasInflatedIsTold() throws {
    let good = compress([UInt8](repeating: 7, count: 100_000))
    var inflatedBytes = 0
    _ = try decompress(good, max: 100_000, &inflatedBytes)
    #expect(inflatedBytes == 100_000)
    var flipped = good
    flipped[good.count - 6] ^= 1
    for bytes in [flipped, Array(good.dropLast()), good + [0]] {
      inflatedBytes = 0
      _ = try? decompress(bytes, max: 100_000, &inflatedBytes)
      #expect(inflatedBytes == 100_000)
    }
    inflatedBytes = 0
    _ = try? decompress(good, max: 50_000, &inflatedBytes)
    #expect((50_001...70_000).contains(inflatedBytes))
  }
}
