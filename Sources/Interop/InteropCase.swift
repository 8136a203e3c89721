package import RPC
package import Reactor

/// What a case found wrong.
struct InteropFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Throws unless `condition` holds.
func require(_ condition: Bool, _ description: @autoclosure () -> String) throws {
  if !condition { throw InteropFailure(description()) }
}

/// The server that the cases are run against.
package struct InteropTarget {
  package let reactor: Reactor
  /// A channel of its own for each call.
  package let makeChannel: () -> Channel
  package var soak = SoakOptions()
  /// For the large calls made all at once.
  package var concurrentCallsTimeout: Duration = .seconds(60)

  package init(reactor: Reactor, makeChannel: @escaping () -> Channel) {
    self.reactor = reactor
    self.makeChannel = makeChannel
  }
}

/// The limits of the soak tests; the names are the specification's.
package struct SoakOptions {
  package var iterations = 10
  package var maxFailures = 0
  package var perIterationMaxAcceptableLatency: Duration = .milliseconds(1000)
  package var overallTimeout: Duration = .seconds(10)
  package var requestBytes = 271_828
  package var responseBytes: Int32 = 314_159

  package init() {}
}

/// The client's side of gRPC's interoperability tests; the raw values are the specification's names.
package enum InteropCase: String, CaseIterable {
  case emptyUnary = "empty_unary"
  case largeUnary = "large_unary"
  case cacheableUnary = "cacheable_unary"
  case clientCompressedUnary = "client_compressed_unary"
  case serverCompressedUnary = "server_compressed_unary"
  case clientStreaming = "client_streaming"
  case clientCompressedStreaming = "client_compressed_streaming"
  case serverStreaming = "server_streaming"
  case serverCompressedStreaming = "server_compressed_streaming"
  case pingPong = "ping_pong"
  case emptyStream = "empty_stream"
  case customMetadata = "custom_metadata"
  case statusCodeAndMessage = "status_code_and_message"
  case specialStatusMessage = "special_status_message"
  case unimplementedMethod = "unimplemented_method"
  case unimplementedService = "unimplemented_service"
  case cancelAfterBegin = "cancel_after_begin"
  case cancelAfterFirstResponse = "cancel_after_first_response"
  case timeoutOnSleepingServer = "timeout_on_sleeping_server"
  case concurrentLargeUnary = "concurrent_large_unary"
  case rpcSoak = "rpc_soak"
  case channelSoak = "channel_soak"

  /// Throws what is wrong with the server, or with this side.
  package func run(_ target: InteropTarget) async throws {
    if self == .channelSoak { return try await soak(target, newChannels: true) }
    if self == .rpcSoak { return try await soak(target, newChannels: false) }
    let channel = target.makeChannel()
    defer { channel.close() }
    let calls = InteropCalls(channel: channel, reactor: target.reactor)
    switch self {
    case .emptyUnary: try await calls.emptyUnary()
    case .largeUnary: try await calls.largeUnary()
    case .cacheableUnary: try await calls.cacheableUnary()
    case .clientCompressedUnary: try await calls.clientCompressedUnary()
    case .serverCompressedUnary: try await calls.serverCompressedUnary()
    case .clientStreaming: try await calls.clientStreaming()
    case .clientCompressedStreaming: try await calls.clientCompressedStreaming()
    case .serverStreaming: try await calls.serverStreaming()
    case .serverCompressedStreaming: try await calls.serverCompressedStreaming()
    case .pingPong: try await calls.pingPong()
    case .emptyStream: try await calls.emptyStream()
    case .customMetadata: try await calls.customMetadata()
    case .statusCodeAndMessage: try await calls.statusCodeAndMessage()
    case .specialStatusMessage: try await calls.specialStatusMessage()
    case .unimplementedMethod: try await calls.unimplementedMethod()
    case .unimplementedService: try await calls.unimplementedService()
    case .cancelAfterBegin: try await calls.cancelAfterBegin()
    case .cancelAfterFirstResponse: try await calls.cancelAfterFirstResponse()
    case .timeoutOnSleepingServer: try await calls.timeoutOnSleepingServer()
    case .concurrentLargeUnary:
      try await calls.concurrentLargeUnary(within: target.concurrentCallsTimeout)
    case .rpcSoak, .channelSoak: break
    }
  }
}
