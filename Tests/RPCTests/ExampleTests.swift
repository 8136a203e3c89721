import Contracts
import Foundation
import RPC
import RPCCore
import Reactor
import Testing

private func greet(
  _ request: TestingV1.EchoRequest, context: ServerContext
) async throws -> TestingV1.EchoResponse {
  if request.text.isEmpty { throw RPCError(.invalidArgument, "text is empty; say a name") }
  return TestingV1.EchoResponse(text: "Hello, \(request.text)!")
}

/// The example of README.md and docs/rpc.md, as a reader types it.
@Suite struct ExampleTests {
  @Test func itGreets() async throws {
    try await withReactor { reactor in
      let server = Server(reactor: reactor)
      server.register([.unary(TestingV1.EchoServiceMethods.echo, greet)])
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))

      let client = TestingV1.EchoServiceClient(channel: Channel(reactor: reactor, address: address))
      let answer = try await client.echo(TestingV1.EchoRequest(text: "world"))
      #expect(answer.text == "Hello, world!")
      let error = await rpcError { _ = try await client.echo(TestingV1.EchoRequest()) }
      #expect(error == RPCError(.invalidArgument, "text is empty; say a name"))
    }
  }

  /// Each line of it that says something about the runtime is one of this file.
  @Test(arguments: ["README.md", "docs/rpc.md"])
  func itIsWhatIsTested(document: String) throws {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent(document), encoding: .utf8)
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    let blocks = text.components(separatedBy: "```swift\n").dropFirst()
      .compactMap { $0.components(separatedBy: "```").first }
    let lines = blocks.joined().split(separator: "\n")
      .map { $0.trimmingCharacters(in: .whitespaces) }
      .filter { $0.contains("TestingV1") || $0.contains("Server(") || $0.contains("RPCError") }
    #expect(lines.count >= 8)
    for line in lines { #expect(source.contains(line), "\(line)") }
    #expect(lines.contains { $0.contains("greet") })
  }
}
