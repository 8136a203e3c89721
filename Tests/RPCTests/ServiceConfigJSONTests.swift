import Contracts
import HTTP2
import RPC
import RPCCore
import TestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ServiceConfigJSONTests {
  @Test func everyFieldIsTaken() throws {
    let config = try ServiceConfig(
      json: """
        {
          "loadBalancingConfig": [{"xds_experimental": {}}, {"round_robin": {}}],
          "loadBalancingPolicy": "pick_first",
          "methodConfig": [
            {"name": [{}], "timeout": "30s"},
            {
              "name": [{"service": "a.B"}, {"service": "a.C", "method": "Get"}],
              "timeout": "1.5s",
              "waitForReady": true,
              "maxRequestMessageBytes": 1000,
              "maxResponseMessageBytes": "2000",
              "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "3s",
                "backoffMultiplier": 1.5,
                "retryableStatusCodes": ["UNAVAILABLE", "aborted", 8]
              }
            }
          ],
          "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
        }
        """)
    #expect(config.loadBalancing == .roundRobin)
    #expect(config.defaults.timeout == .seconds(30))
    #expect(config.defaults.retry == nil)
    #expect(config.services.keys.sorted() == ["a.B"])
    #expect(config.methods.keys.sorted() == ["/a.C/Get"])
    let method = try #require(config.methods["/a.C/Get"])
    #expect(method.timeout == .milliseconds(1500))
    #expect(method.waitForReady == true)
    #expect(method.requestBytesMax == 1000)
    #expect(method.responseBytesMax == 2000)
    let retry = try #require(method.retry)
    #expect(retry.attempts == 4)
    #expect(retry.backoff == .milliseconds(100))
    #expect(retry.backoffMax == .seconds(3))
    #expect(retry.multiplier == 1.5)
    #expect(retry.codes == [.unavailable, .aborted, .resourceExhausted])
    #expect(config.throttling?.tokensMax == 10)
    #expect(config.throttling?.tokenRatio == 0.1)
  }

  @Test func attemptsPastTheLimitAreAllowedAndNotMade() throws {
    let config = try ServiceConfig(json: Self.retry(maxAttempts: "50"))
    #expect(config.defaults.retry?.attempts == RetryPolicy.attemptsMax)
  }

  @Test func aMethodIsHedged() throws {
    let config = try ServiceConfig(
      json: Self.method(
        #"""
        "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.5s", "nonFatalStatusCodes": [14]}
        """#))
    let hedging = try #require(config.defaults.hedging)
    #expect(hedging.attempts == 3)
    #expect(hedging.delay == .milliseconds(500))
    #expect(hedging.codes == [.unavailable])
    let least = try ServiceConfig(
      json: Self.method(#""hedgingPolicy": {"maxAttempts": 9, "hedgingDelay": "0s"}"#))
    #expect(least.defaults.hedging?.attempts == RetryPolicy.attemptsMax)
    #expect(least.defaults.hedging?.delay == .zero)
    #expect(least.defaults.hedging?.codes == [])
  }

  @Test func healthIsAskedForWhereAServiceIsNamed() throws {
    #expect(
      try ServiceConfig(json: #"{"healthCheckConfig": {"serviceName": "a.B"}}"#)
        .healthCheckService == "a.B")
    #expect(
      try ServiceConfig(json: #"{"healthCheckConfig": {"serviceName": ""}}"#)
        .healthCheckService == "")
    for json in [#"{"healthCheckConfig": {}}"#, "{}"] {
      #expect(try ServiceConfig(json: json).healthCheckService == nil)
    }
  }

  @Test func anEmptyConfigIsTheDefault() throws {
    let config = try ServiceConfig(json: "{}")
    #expect(config.loadBalancing == .pickFirst)
    #expect(config.methods.isEmpty && config.services.isEmpty && config.throttling == nil)
  }

  private static func method(_ fields: String) -> String {
    #"{"methodConfig": [{"name": [{}], \#(fields)}]}"#
  }

  private static func retry(
    maxAttempts: String = "2", initialBackoff: String = #""1s""#, multiplier: String = "2",
    codes: String = #"["ABORTED"]"#
  ) -> String {
    method(
      #"""
      "retryPolicy": {"maxAttempts": \#(maxAttempts), "initialBackoff": \#(initialBackoff),
      "maxBackoff": "2s", "backoffMultiplier": \#(multiplier), "retryableStatusCodes": \#(codes)}
      """#)
  }

  private static let policy = "$.methodConfig[0].retryPolicy"
  private static let hedging = "$.methodConfig[0].hedgingPolicy"

  private static let faults: [(json: String, place: String)] = [
    ("[]", "$: expected an object, found an array"),
    ("{", "$, byte 1"),
    (#"{"methodConfg": []}"#, "$.methodConfg: unknown field"),
    (#"{"healthCheckConfig": "a.B"}"#, "$.healthCheckConfig: expected an object, found a string"),
    (#"{"healthCheckConfig": {"service": "a.B"}}"#, "$.healthCheckConfig.service: unknown field"),
    (
      #"{"healthCheckConfig": {"serviceName": 1}}"#,
      "$.healthCheckConfig.serviceName: expected a string"
    ),
    (#"{"methodConfig": {}}"#, "$.methodConfig: expected an array, found an object"),
    (#"{"methodConfig": [{"timeout": "1s"}]}"#, "$.methodConfig[0].name: at least one"),
    (#"{"methodConfig": [{"name": []}]}"#, "$.methodConfig[0].name: at least one"),
    (
      #"{"methodConfig": [{"name": [{"method": "Get"}]}]}"#,
      "$.methodConfig[0].name[0].method: a method needs its service"
    ),
    (
      #"{"methodConfig": [{"name": [{"service": "a"}]}, {"name": [{}, {"service": "a"}]}]}"#,
      "$.methodConfig[1].name[1]: another entry has the same name"
    ),
    (method(#""timeout": "1m""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": "-1s""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": "0s""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": "1.s""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": "0.0000000001s""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": "315576000001s""#), "$.methodConfig[0].timeout: expected a duration"),
    (method(#""timeout": 1"#), "$.methodConfig[0].timeout: expected a string, found a number"),
    (method(#""waitForReady": "yes""#), "$.methodConfig[0].waitForReady: expected a boolean"),
    (
      method(#""maxRequestMessageBytes": -1"#),
      "$.methodConfig[0].maxRequestMessageBytes: expected a whole number of bytes"
    ),
    (retry(maxAttempts: "1"), "\(policy).maxAttempts: must be 2 or more"),
    (retry(maxAttempts: "2.5"), "\(policy).maxAttempts: expected an integer"),
    (retry(initialBackoff: #""0s""#), "\(policy).initialBackoff: expected a duration"),
    (retry(initialBackoff: "null"), "\(policy).initialBackoff: expected a string, found null"),
    (retry(multiplier: "0"), "\(policy).backoffMultiplier: must be above 0"),
    (retry(codes: "[]"), "\(policy).retryableStatusCodes: at least one"),
    (retry(codes: #"["ABORTED", "OK"]"#), "\(policy).retryableStatusCodes[1]: no status code"),
    (retry(codes: #"["NOPE"]"#), "\(policy).retryableStatusCodes[0]: no status code"),
    (retry(codes: "[17]"), "\(policy).retryableStatusCodes[0]: no status code"),
    (method(#""retryPolicy": {}"#), "\(policy).maxAttempts: is needed"),
    (method(#""hedgingPolicy": {}"#), "\(hedging).maxAttempts: is needed"),
    (
      method(#""hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "-1s"}"#),
      "\(hedging).hedgingDelay: expected a duration in seconds"
    ),
    (
      method(#""hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": ["OK"]}"#),
      "\(hedging).nonFatalStatusCodes[0]: no status code"
    ),
    (
      method(
        #"""
        "hedgingPolicy": {"maxAttempts": 2}, "retryPolicy": {"maxAttempts": 2,
        "initialBackoff": "1s", "maxBackoff": "2s", "backoffMultiplier": 2,
        "retryableStatusCodes": [14]}
        """#),
      "\(hedging): a method has this or a retryPolicy"
    ),
    (
      #"{"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}}"#,
      "$.retryThrottling.maxTokens: must be above 0"
    ),
    (
      #"{"retryThrottling": {"maxTokens": 10, "tokenRatio": 0}}"#,
      "$.retryThrottling.tokenRatio: must be above 0"
    ),
    (#"{"retryThrottling": {"maxTokens": 10}}"#, "$.retryThrottling.tokenRatio: is needed"),
    (#"{"loadBalancingPolicy": "best"}"#, "$.loadBalancingPolicy: unknown policy"),
    (#"{"loadBalancingConfig": [{"best": {}}]}"#, "$.loadBalancingConfig: no policy is known"),
    (
      #"{"loadBalancingConfig": [{"pick_first": {}, "round_robin": {}}]}"#,
      "$.loadBalancingConfig[0]: expected one policy's name, found 2"
    ),
  ]

  @Test(arguments: faults) func faultsNameTheirField(json: String, place: String) {
    let error = #expect(throws: ServiceConfigError.self) { _ = try ServiceConfig(json: json) }
    #expect(error?.description.hasPrefix(place) == true, "\(error?.description ?? "none")")
  }

  @Test func messagesPastTheirLimitsAreRefused() async throws {
    try await withReactor { reactor in
      var configuration = ChannelConfiguration()
      configuration.service = try ServiceConfig(
        json: """
          {"methodConfig": [
            {"name": [{}], "maxRequestMessageBytes": 100},
            {
              "name": [{"service": "\(TestingV1.EchoServiceMethods.expand.service)", "method": "Expand"}],
              "maxResponseMessageBytes": 100
            }
          ]}
          """)
      let echo = try EchoServer(reactor, configuration: configuration)
      let large = EchoServer.request("x", payload: [UInt8](repeating: 1, count: 200))
      #expect(try await echo.client.echo(EchoServer.request("x")).text == "x")
      let unary = await rpcError { _ = try await echo.client.echo(large) }
      #expect(unary?.code == .resourceExhausted)
      let streamed = await rpcError {
        _ = try await echo.client.collect { try await $0.write(large) }
      }
      #expect(streamed?.code == .resourceExhausted)
      var request = TestingV1.ExpandRequest()
      request.count = 1
      request.text = String(repeating: "x", count: 200)
      let stream = try await echo.client.expand(request)
      let response = await rpcError { _ = try await stream.next() }
      #expect(response?.code == .resourceExhausted)
    }
  }
}
