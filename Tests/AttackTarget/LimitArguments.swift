import HTTP2
import RPC
import Reactor

/// Reads limits of a server from arguments such as `http2.preface=0.5`: by their names in the code,
/// durations in seconds, rates as `BURST/PER_SECOND`.
enum LimitArguments {
  static func parse(_ arguments: [String]) -> ServerLimits? {
    var limits = ServerLimits()
    for argument in arguments {
      let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
      guard parts.count == 2, set(parts[0], parts[1], in: &limits) else { return nil }
    }
    return limits
  }

  private static func set(_ name: String, _ value: String, in limits: inout ServerLimits) -> Bool {
    if name == "http2.connectionWindowBytes" {
      return assign(Int32(value), to: \.http2.connectionWindowBytes, in: &limits)
    }
    if let number = numbers[name] { return assign(Int(value), to: number, in: &limits) }
    if let duration = durations[name] {
      return assign(Double(value).map { Duration.seconds($0) }, to: duration, in: &limits)
    }
    if let rate = rates[name] { return assign(parseRate(value), to: rate, in: &limits) }
    return false
  }

  private static func assign<Value>(
    _ value: Value?, to path: WritableKeyPath<ServerLimits, Value>, in limits: inout ServerLimits
  ) -> Bool {
    guard let value else { return false }
    limits[keyPath: path] = value
    return true
  }

  private static func parseRate(_ text: String) -> RateLimit? {
    let parts = text.split(separator: "/").compactMap { Double($0) }
    return parts.count == 2 ? RateLimit(burst: parts[0], perSecond: parts[1]) : nil
  }

  private static var numbers: [String: WritableKeyPath<ServerLimits, Int>] {
    [
      "messageBytes": \.messageBytes,
      "callsInProgress": \.callsInProgress,
      "abandonedCallsPerConnection": \.abandonedCallsPerConnection,
      "callsInProgressPerAddress": \.callsInProgressPerAddress,
      "departedAddresses": \.departedAddresses,
      "heldBytes": \.heldBytes,
      "heldBytesPerAddress": \.heldBytesPerAddress,
      "heldBytesPerConnection": \.heldBytesPerConnection,
      "http2.queuedFrames": \.http2.queuedFrames,
      "listener.connections": \.listener.connections,
      "listener.connectionsPerAddress": \.listener.connectionsPerAddress,
    ]
  }

  private static var durations: [String: WritableKeyPath<ServerLimits, Duration>] {
    [
      "unaryCall": \.unaryCall,
      "statusGrace": \.statusGrace,
      "streamingCall": \.streamingCall,
      "connection.handshake": \.connection.handshake,
      "connection.writeStall": \.connection.writeStall,
      "connectionIdle": \.connectionIdle,
      "keepalive": \.keepalive,
      "keepaliveTimeout": \.keepaliveTimeout,
      "http2.preface": \.http2.preface,
      "http2.headerBlock": \.http2.headerBlock,
    ]
  }

  private static var rates: [String: WritableKeyPath<ServerLimits, RateLimit>] {
    [
      "http2.refusedStreams": \.http2.refusedStreams,
      "http2.windowUpdates": \.http2.windowUpdates,
      "inflatedBytes": \.inflatedBytes,
    ]
  }
}
