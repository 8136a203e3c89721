import HTTP
import Reactor

@testable import Kubernetes

/// Answers requests as a test says. Confined to its reactor.
final class ScriptedTransport: KubernetesTransport {
  private let reactor: Reactor
  private let answer: (HTTPRequestHead, [UInt8]) -> ScriptedResponse
  private(set) var requests: [HTTPRequestHead] = []

  init(_ reactor: Reactor, answer: @escaping (HTTPRequestHead, [UInt8]) -> ScriptedResponse) {
    self.reactor = reactor
    self.answer = answer
  }

  func send(
    _ request: HTTPRequestHead, body: [UInt8], deadline: Instant
  ) async throws(KubernetesError) -> any KubernetesResponse {
    requests.append(request)
    return answer(request, body)
  }

  func close() {}

  func client(_ limits: KubernetesLimits = KubernetesLimits()) -> KubernetesClient {
    KubernetesClient(
      reactor: reactor, configuration: .nowhere, blocking: BlockingPool(), limits: limits
    ) { _ in self }
  }
}

final class ScriptedResponse: KubernetesResponse {
  let head: HTTPResponseHead
  private let reactor: Reactor
  private var chunks: [[UInt8]]
  private var ending: Result<Void, KubernetesError>?
  private var waiting: Resumption<Void>?

  /// - Parameter staysOpen: more comes by `push` and `end`.
  init(
    _ reactor: Reactor, _ status: HTTPStatus = .ok, _ chunks: [String] = [],
    staysOpen: Bool = false
  ) {
    head = HTTPResponseHead(status: status)
    self.reactor = reactor
    self.chunks = chunks.map { Array($0.utf8) }
    ending = staysOpen ? nil : .success(())
  }

  func push(_ text: String) {
    chunks.append(Array(text.utf8))
    wake()
  }

  func end(_ result: Result<Void, KubernetesError> = .success(())) {
    if ending == nil { ending = result }
    wake()
  }

  func next() async throws(KubernetesError) -> [UInt8]? {
    while chunks.isEmpty, ending == nil {
      await suspended(on: reactor) {
        self.cancel()
      } _: { resumption in
        if !self.chunks.isEmpty || self.ending != nil { return resumption.resume(()) }
        self.waiting = resumption
      }
    }
    if !chunks.isEmpty { return chunks.removeFirst() }
    try ending?.get()
    return nil
  }

  func cancel() { end(.failure(KubernetesError(.cancelled, "cancelled"))) }

  private func wake() {
    let resumption = waiting
    waiting = nil
    resumption?.resume(())
  }
}
