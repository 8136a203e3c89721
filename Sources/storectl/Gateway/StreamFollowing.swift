import JSON

extension GatewayClient {
  /// Between two streams, the first time and at most.
  static let reconnectPauseMin: Duration = .milliseconds(500)
  static let reconnectPauseMax: Duration = .seconds(8)

  /// Reads a stream again and again: one that ends, breaks or finds a service away is followed by
  /// another. Whoever takes the messages drops those that it has seen.
  ///
  /// - Parameter take: returns true when it has seen enough.
  func followStream(
    _ request: @autoclosure () -> GatewayRequest, note: (String) -> Void,
    take: (JSON) throws -> Bool
  ) async throws {
    var pause = Self.reconnectPauseMin
    while true {
      do {
        var messages = try await stream(request())
        while let message = try await messages.next() {
          pause = Self.reconnectPauseMin
          if try take(message) { return }
        }
        note("the stream ended; watching again")
      } catch let error as TransportError where error.kind != .notSecure {
        note("\(error.reason(at: address)); watching again")
      } catch let problem as GatewayProblem where problem.isPassing {
        note("\(problem.detail); watching again")
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 2, Self.reconnectPauseMax)
    }
  }
}
