import Foundation
import Glibc
import Observability
import Testing

@Suite struct ResidentMemoryTests {
  @Test func aProcessIsMeasured() throws {
    let own = ResidentMemory.bytes()
    #expect(own > 1 << 20)
    #expect(own % Int64(getpagesize()) == 0)
    #expect(ResidentMemory.bytes(of: getpid()) > 1 << 20)
  }

  @Test func oneThatIsGoneHoldsNothing() throws {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/bin/true")
    try child.run()
    child.waitUntilExit()
    #expect(ResidentMemory.bytes(of: child.processIdentifier) == 0)
    #expect(ResidentMemory.bytes(of: -1) == 0)
  }
}
