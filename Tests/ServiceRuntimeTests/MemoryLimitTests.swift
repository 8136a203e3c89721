import Foundation
import RPC
import Testing

@testable import ServiceRuntime

@Suite struct MemoryLimitTests {
  private func limit(_ membership: String, _ limits: [String: String]) throws -> Int? {
    let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: root) }
    for (folder, text) in limits {
      let path = root.appending(path: "groups/\(folder)")
      try FileManager.default.createDirectory(at: path, withIntermediateDirectories: true)
      try Data(text.utf8).write(to: path.appending(path: "memory.max"))
    }
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
    let file = root.appending(path: "cgroup")
    try Data(membership.utf8).write(to: file)
    return MemoryLimit.bytes(membership: file.path, root: root.appending(path: "groups").path)
  }

  @Test func theLeastOnTheWayDownCounts() throws {
    #expect(try limit("0::/\n", ["": "268435456\n"]) == 268_435_456)
    let nested = ["": "max\n", "pods": "1000\n", "pods/one": "2000\n", "pods/two": "10\n"]
    #expect(try limit("1:name=systemd:/other\n0::/pods/one\n", nested) == 1_000)
    #expect(try limit("0::/pods/one\n", ["pods/one": "max\n"]) == nil)
    #expect(try limit("4:memory:/old\n", ["": "1\n"]) == nil)
    #expect(MemoryLimit.bytes(membership: "/nowhere") == nil)
  }

  @Test func messagesTakeAQuarterOfIt() {
    let small = ServerLimits(memoryBytes: 256 << 20)
    #expect(small.heldBytes == 64 << 20)
    #expect(small.heldBytesPerConnection == 32 << 20)
    let standard = ServerLimits()
    for memory in [nil, 64 << 30] {
      #expect(ServerLimits(memoryBytes: memory).heldBytes == standard.heldBytes)
      let perConnection = ServerLimits(memoryBytes: memory).heldBytesPerConnection
      #expect(perConnection == standard.heldBytesPerConnection)
    }
  }
}
