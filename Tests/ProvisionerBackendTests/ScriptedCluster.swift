import HTTP
import JSON
import Reactor

@testable import Kubernetes

/// Answers in the place of an API server, by the method and the path of a request, such as
/// "GET /version", and the query where that makes a difference. What it is not told of is not there.
/// Confined to its reactor.
final class ScriptedCluster: KubernetesTransport {
  var answers: [String: JSON] = [:]
  var forbidden: Set<String> = []
  /// Paths of what was deleted, which is not there any more, with how.
  private(set) var deleted: [String: JSON] = [:]

  private final class Answer: KubernetesResponse {
    let head: HTTPResponseHead
    private var body: [UInt8]?

    init(_ status: HTTPStatus, _ body: JSON) {
      head = HTTPResponseHead(status: status)
      self.body = Array(body.serializedText().utf8)
    }

    func next() async throws(KubernetesError) -> [UInt8]? {
      defer { body = nil }
      return body
    }

    func cancel() { body = nil }
  }

  func send(
    _ request: HTTPRequestHead, body: [UInt8], deadline: Instant
  ) async throws(KubernetesError) -> any KubernetesResponse {
    let asked = "\(request.method) \(request.path)"
    if forbidden.contains(asked) { return Answer(.forbidden, Self.status(403, "Forbidden")) }
    if request.method == .delete, answers.removeValue(forKey: "GET \(request.path)") != nil {
      deleted[request.path] = (try? JSON(parsing: body)) ?? .null
      return Answer(.ok, [:])
    }
    let found = request.query.flatMap { answers["\(asked)?\($0)"] } ?? answers[asked]
    return found.map { Answer(.ok, $0) } ?? Answer(.notFound, Self.status(404, "NotFound"))
  }

  private static func status(_ code: Int64, _ reason: String) -> JSON {
    [
      "kind": "Status", "status": "Failure", "reason": .string(reason),
      "code": .number(JSONNumber(code)),
    ]
  }

  func close() {}

  func client(on reactor: Reactor) -> KubernetesClient {
    KubernetesClient(
      reactor: reactor, configuration: .nowhere, blocking: BlockingPool(),
      limits: KubernetesLimits()
    ) { _ in self }
  }
}
