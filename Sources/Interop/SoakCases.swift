import Contracts
import RPC
import RPCCore
import Reactor

/// Large calls one after the other, on one channel or each on a new one: failures and slow calls are
/// counted, and too many of them fail the case.
func soak(_ target: InteropTarget, newChannels: Bool) async throws {
  let options = target.soak
  let end = Instant.now() + options.overallTimeout
  let shared = target.makeChannel()
  defer { shared.close() }
  var failures = 0
  var lastFailure = ""
  for iteration in 0..<options.iterations {
    if Instant.now() >= end {
      throw InteropFailure(
        "\(iteration) of \(options.iterations) calls within \(options.overallTimeout)")
    }
    let channel = newChannels ? target.makeChannel() : shared
    let started = Instant.now()
    do {
      try await soakCall(channel, options, until: end)
      let latency = Instant.now() - started
      let acceptable = options.perIterationMaxAcceptableLatency
      try require(latency <= acceptable, "a call took \(latency), over \(acceptable)")
    } catch {
      failures += 1
      lastFailure = "\(error)"
    }
    if newChannels { channel.close() }
  }
  try require(
    failures <= options.maxFailures,
    "\(failures) of \(options.iterations) calls failed, the last one so: \(lastFailure)")
}

private func soakCall(
  _ channel: Channel, _ options: SoakOptions, until end: Instant
) async throws {
  var request = GRPCTesting.SimpleRequest()
  request.responseSize = options.responseBytes
  request.payload = InteropCalls.payload(options.requestBytes)
  let client = GRPCTesting.TestServiceClient(channel: channel)
  let left = CallOptions(timeout: end - Instant.now())
  let response = try await client.unaryCall(request, options: left)
  try InteropCalls.check(response.payload, is: options.responseBytes)
}
