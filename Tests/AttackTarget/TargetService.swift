import Contracts
import RPC
import RPCCore
import Reactor

/// What attacks need beside the echo service: a message that nests, a handler that keeps one, a handler
/// that does not listen when it is cancelled, and one that does not read.
enum TargetService {
  static var methods: [ServerMethod] {
    let nested: (TestingV1.Nested, ServerContext) async throws -> TestingV1.Nested = { request, _ in
      return request
    }
    let keep: (TestingV1.Nested, ServerContext) async throws -> GoogleProtobuf.Empty = {
      request, context in
      await outlastCancellation(on: context.reactor.loop)
      withExtendedLifetime(request) {}
      return GoogleProtobuf.Empty()
    }
    let stubborn: (TestingV1.EchoRequest, ServerContext) async throws -> TestingV1.EchoResponse = {
      _, context in
      await outlastCancellation(on: context.reactor.loop)
      return TestingV1.EchoResponse()
    }
    let deaf:
      (
        RequestReader<TestingV1.EchoRequest>, ResponseWriter<TestingV1.EchoResponse>, ServerContext
      ) async throws -> Void = { _, _, context in
        await outlastCancellation(on: context.reactor.loop)
      }
    return [
      .unary(method("Nested"), nested), .unary(method("Keep"), keep),
      .unary(method("Stubborn"), stubborn),
      .bidirectional(method("Deaf"), deaf),
    ]
  }

  private static func method(_ name: String) -> MethodDescriptor {
    MethodDescriptor(
      service: "attacks.Target", name: name, clientStreaming: false, serverStreaming: false)
  }

  /// For longer than an attack goes on.
  private static func outlastCancellation(on loop: EventLoop) async {
    await withUnsafeContinuation { continuation in
      _ = loop.schedule(after: .seconds(60)) { continuation.resume() }
    }
  }
}
