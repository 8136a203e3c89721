import HTTP
import Reactor

/// What the client needs of HTTP: requests with answers that stream. Confined to one reactor.
protocol KubernetesTransport: AnyObject {
  /// Sends a request on a connection that is made where there is none. Returns with the head of the
  /// answer; the deadline covers the body too. Ends the exchange when the task is cancelled.
  func send(
    _ request: HTTPRequestHead, body: [UInt8], deadline: Instant
  ) async throws(KubernetesError) -> any KubernetesResponse
  /// Ends every exchange and connection.
  func close()
}

/// An answer whose body is on its way. Letting go of it tells the server to stop.
protocol KubernetesResponse: AnyObject {
  var head: HTTPResponseHead { get }
  /// The next bytes of the body, nil at its end.
  func next() async throws(KubernetesError) -> [UInt8]?
  /// Ends the exchange; a reader that waits gets an error.
  func cancel()
}

extension KubernetesResponse {
  /// The whole body; an error as soon as it is larger than `bytesMax`.
  func collect(upTo bytesMax: Int) async throws(KubernetesError) -> [UInt8] {
    var body: [UInt8] = []
    while let chunk = try await next() {
      guard chunk.count <= bytesMax - body.count else {
        cancel()
        throw KubernetesError(
          .limitReached, "the API server's answer is larger than \(bytesMax) bytes")
      }
      if body.isEmpty { body = chunk } else { body += chunk }
    }
    return body
  }
}
