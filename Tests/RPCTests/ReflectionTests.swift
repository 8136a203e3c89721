import Contracts
import Descriptors
import Foundation
import PythonPeer
import RPC
import RPCServices
import Reactor
import Testing

/// What Python's reflection client learns from our server.
@Suite(.timeLimit(.minutes(1))) struct ReflectionTests {
  private static let questions: [(question: String, answer: String)] = [
    (
      "services",
      "grpc.health.v1.Health grpc.reflection.v1.ServerReflection "
        + "grpc.reflection.v1alpha.ServerReflection storeplane.testing.v1.EchoService"
    ),
    (
      "method storeplane.testing.v1.EchoService.Expand",
      "storeplane.testing.v1.ExpandRequest storeplane.testing.v1.EchoResponse"
    ),
    ("message storeplane.testing.v1.ExpandRequest", "text count intervalMilliseconds"),
    ("message storeplane.testing.v1.Leaf", "name number"),
    ("file google/api/http.proto", "google.api"),
    ("extension google.protobuf.MethodOptions", "google/api/annotations.proto"),
    ("extensions google.protobuf.FieldOptions", "1052"),
    ("no-symbol storeplane.Missing", "5 no symbol storeplane.Missing"),
    ("no-file missing.proto", "5 no file missing.proto"),
    (
      "no-symbol " + String(repeating: "x", count: 1000),
      "5 no symbol " + String(repeating: "x", count: 193)
    ),
  ]

  @Test func pythonClientFindsTheContracts() async throws {
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Peers/reflect.py")
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let pool = try DescriptorPool(serialized: DescriptorSet.serialized)
      let reflection = ReflectionService(pool, services: echo.server.serviceNames)
      echo.server.register(reflection.methods)
      let port = try #require(echo.address.port)
      let cases = ["v1", "v1alpha"].flatMap { version in
        Self.questions.map { (question: "\(port) \(version) \($0.question)", answer: $0.answer) }
      }
      let answers = try await PythonPeer.runOnItsOwnThread(
        script, cases: cases.map(\.question))
      for (asked, answer) in zip(cases, answers) { #expect(answer == asked.answer) }
    }
  }

  @Test func streamSendsEachImportOnce() async throws {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let pool = try DescriptorPool(serialized: DescriptorSet.serialized)
      echo.server.register(ReflectionService(pool, services: []).methods)
      let client = GRPCReflectionV1.ServerReflectionClient(channel: echo.channel)
      let (requests, responses) = try await client.serverReflectionInfo()
      var counts: [Int] = []
      for _ in 0..<2 {
        try await requests.write(
          GRPCReflectionV1.ServerReflectionRequest(
            messageRequest: .fileContainingSymbol("storeplane.testing.v1.EchoService.Echo")))
        let response = try #require(try await responses.next())
        guard case .fileDescriptorResponse(let files) = response.messageResponse else {
          Issue.record("no files: \(response)")
          return
        }
        counts.append(files.fileDescriptorProto.count)
      }
      // Itself, the annotations, their rules, and the descriptors' own file.
      #expect(counts == [4, 1])
      try await requests.write(GRPCReflectionV1.ServerReflectionRequest())
      guard case .errorResponse(let error) = try await responses.next()?.messageResponse else {
        Issue.record("a request that asks for nothing was answered")
        return
      }
      #expect(error.errorCode == 3)
    }
  }
}
