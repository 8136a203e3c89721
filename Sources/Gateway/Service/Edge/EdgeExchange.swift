import HTTP
import Observability
import Reactor
import Transcoding

/// One request on its way through the edge, with what its steps have found out.
final class EdgeExchange {
  let request: HTTPRequest
  let context: RequestContext
  let client: ClientOrigin
  /// The last instant at which an answer is of use.
  var deadline: Instant
  /// What the path and the method lead to.
  var destination: Destination?
  /// Whom the access token speaks for; nil where none is asked for.
  var caller: SignedIn?
  /// Fields that every answer to this request has.
  var fields = HTTPHeaders(reservingFields: 8, bytes: 256)

  // For the log and the metrics.
  var status: HTTPStatus?
  var responseBytes = 0

  init(
    _ request: HTTPRequest, _ context: RequestContext, from client: ClientOrigin, deadline: Instant
  ) {
    self.request = request
    self.context = context
    self.client = client
    self.deadline = deadline
  }

  var requestID: String { context.requestID.text }

  /// The path as the contract has it, never as the client sent it: metrics have a series for each.
  var route: String {
    switch destination {
    case .method(let request, _): request.route.template
    case .document(let document): document.path
    case nil: "none"
    }
  }
}
