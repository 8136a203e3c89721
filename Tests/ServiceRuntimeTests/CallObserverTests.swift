import Contracts
import Logging
import Observability
import RPC
import RPCCore
import Reactor
import ServiceRuntime
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct CallObserverTests {
  /// An echo service with the interceptors of every service, and what they have counted.
  private final class Observed {
    let metrics = MetricsRegistry()
    let server: Server
    let client: TestingV1.EchoServiceClient

    init(
      _ reactor: Reactor, limits: ServerLimits = ServerLimits(), logger: Logger = quiet
    ) throws {
      let observer = CallObserver(logger: logger, metrics: metrics)
      server = Server(
        reactor: reactor, limits: limits, interceptors: [RequestContextInterceptor(), observer])
      server.register(EchoService().methods)
      let address = try server.listen(on: .ipv4(address: 0x7F00_0001, port: 0))
      client = TestingV1.EchoServiceClient(channel: Channel(reactor: reactor, address: address))
    }

    func call(_ text: String) async {
      _ = await failure { _ = try await client.echo(TestingV1.EchoRequest(text: text)) }
    }

    /// The lines of the metrics about echo, without what takes time.
    var counts: Set<String> {
      let path = "method=\"/storeplane.testing.v1.EchoService/Echo\""
      let lines = String(decoding: metrics.exposition(), as: UTF8.self).split(separator: "\n")
      return Set(
        lines.filter { $0.contains(path) && !$0.contains("_bucket") && !$0.contains("_sum") }
          .map { String($0.replacing(path, with: "echo")) })
    }
  }

  @Test func eachCallIsCountedOnceWithItsCode() async throws {
    try await onReactor { reactor in
      let observed = try Observed(reactor)
      for text in ["hello", "hello", "fail", "crash"] { await observed.call(text) }
      #expect(
        observed.counts == [
          "grpc_server_started_total{echo} 4", "grpc_server_in_progress{echo} 0",
          "grpc_server_handling_seconds_count{echo} 4",
          // Five bytes before each message, two in it before the text.
          "grpc_server_received_message_bytes_total{echo} 47",
          "grpc_server_sent_message_bytes_total{echo} 24",
          "grpc_server_handled_total{echo,code=\"OK\"} 2",
          "grpc_server_handled_total{echo,code=\"FAILED_PRECONDITION\"} 1",
          "grpc_server_handled_total{echo,code=\"UNKNOWN\"} 1",
        ])
    }
  }

  @Test func aCallPastItsDeadlineIsCountedAsThat() async throws {
    try await onReactor { reactor in
      var limits = ServerLimits()
      limits.unaryCall = .milliseconds(50)
      let observed = try Observed(reactor, limits: limits)
      await observed.call("sleep")
      while observed.server.callsInProgress > 0 { await Task.yield() }
      #expect(
        observed.counts == [
          "grpc_server_started_total{echo} 1", "grpc_server_in_progress{echo} 0",
          "grpc_server_handling_seconds_count{echo} 1",
          "grpc_server_received_message_bytes_total{echo} 12",
          "grpc_server_sent_message_bytes_total{echo} 0",
          "grpc_server_handled_total{echo,code=\"DEADLINE_EXCEEDED\"} 1",
        ])
    }
  }

  @Test func aCallThatIsRefusedBeforeItsHandlerIsCountedToo() async throws {
    try await onReactor { reactor in
      var limits = ServerLimits()
      limits.callsInProgress = 0
      let observed = try Observed(reactor, limits: limits)
      await observed.call("hello")
      #expect(
        observed.counts.contains(
          "grpc_server_handled_total{echo,code=\"RESOURCE_EXHAUSTED\"} 1"))
      #expect(observed.counts.contains("grpc_server_in_progress{echo} 0"))
    }
  }

  /// What a log line says, and the request that it was written in.
  private final class ContextLog: LogHandler, @unchecked Sendable {
    private let lines = LogLines()
    private(set) var requestIDs: [String?] = []
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info
    var texts: [String] { lines.all }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      requestIDs.append(RequestContext.current?.requestID.text)
      lines.logger.log(level: event.level, event.message, metadata: event.metadata)
    }
  }

  /// Refused calls included, whose handler never ran.
  @Test func eachCallHasALineWithinItsRequest() async throws {
    try await onReactor { reactor in
      for (refused, text, code) in [
        (false, "hello", "OK"), (false, "fail", "FAILED_PRECONDITION"),
        (true, "hello", "RESOURCE_EXHAUSTED"),
      ] {
        let log = ContextLog()
        var limits = ServerLimits()
        if refused { limits.callsInProgress = 0 }
        let observed = try Observed(
          reactor, limits: limits, logger: Logger(label: "test") { _ in log })
        var options = CallOptions()
        options.metadata.append(RequestContextInterceptor.requestIDName, "id-1")
        let error = await failure {
          _ = try await observed.client.echo(TestingV1.EchoRequest(text: text), options: options)
        }
        #expect(log.requestIDs == ["id-1"])
        let line = try #require(log.texts.first)
        #expect(line.hasPrefix("call code=\(code) duration_us="))
        let path = "method=/storeplane.testing.v1.EchoService/Echo"
        let reason = (error as? RPCError).map { " reason=\($0.message)" } ?? ""
        #expect(line.hasSuffix(" \(path)\(reason)"), "\(line)")
      }
    }
  }

  @Test func theResponseNamesARequestThatCameWithoutAName() async throws {
    try await onReactor { reactor in
      let observed = try Observed(reactor)
      for (sent, returned) in [(nil, 32), ("strange id", 32), ("id-1", nil)] as [(String?, Int?)] {
        var options = CallOptions(record: CallRecord())
        if let sent { options.metadata.append(RequestContextInterceptor.requestIDName, sent) }
        _ = try await observed.client.echo(TestingV1.EchoRequest(text: "x"), options: options)
        let name = options.record?.initialMetadata[RequestContextInterceptor.requestIDName]
        #expect(name?.count == returned)
      }
    }
  }
}
