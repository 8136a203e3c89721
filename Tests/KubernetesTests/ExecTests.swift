import Testing

@testable import Kubernetes

@Suite struct ExecTests {
  private func outcome(
    stdout: String = "", status: String? = #"{"status":"Success"}"#, sentinel: String? = nil,
    outputBytesMax: Int = 100
  ) throws -> ExecResult {
    var request = ExecRequest(namespace: "n", pod: "p", container: "c", command: ["x"])
    request.sentinel = sentinel
    request.outputBytesMax = outputBytesMax
    var outcome = ExecOutcome(request)
    try outcome.take([1] + Array(stdout.utf8))
    try outcome.take([2] + Array("err".utf8))
    if let status { try outcome.take([3] + Array(status.utf8)) }
    return try outcome.result(connectionEnd: "closed by the server")
  }

  private let failed = """
    {"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[
     {"reason":"ExitCode","message":"3"}]}}
    """

  @Test func readsTheEnd() throws {
    let good = try outcome(stdout: "hello")
    #expect(good == ExecResult(exitCode: 0, stdout: Array("hello".utf8), stderr: Array("err".utf8)))
    try good.requireSuccess()
    let bad = try outcome(status: failed)
    #expect(bad.exitCode == 3)
    let error = #expect(throws: KubernetesError.self) { try bad.requireSuccess(redacting: ["rr"]) }
    #expect(error?.kind == .commandFailed && error?.exitCode == 3)
    #expect(error?.message.hasSuffix("e[secret]") == true && error?.isRetryable == false)
  }

  /// Wherever the end of what was printed begins: within a secret, it would not be known as one.
  @Test(arguments: [900, 1_000, 1_010, 1_023, 1_024, 1_025])
  func showsNoPartOfASecret(bytesBehind: Int) throws {
    let secret = String(repeating: "hunter2", count: 9)
    let text =
      String(repeating: "a ", count: 500) + secret
      + String(
        repeating: " b", count: bytesBehind / 2)
    let result = ExecResult(exitCode: 1, stdout: [], stderr: Array(text.utf8))
    let error = #expect(throws: KubernetesError.self) {
      try result.requireSuccess(redacting: [secret])
    }
    #expect(error?.message.contains("hunter2") == false)
    #expect(error?.message.hasSuffix(" b") == true)
  }

  @Test func missesALostEnd() {
    let error = #expect(throws: KubernetesError.self) { try outcome(status: nil) }
    #expect(error?.kind == .commandInterrupted && error?.isRetryable == true)
    #expect(error?.isClusterFailure == false)
  }

  @Test func wantsTheSentinelLastAndWithTheSameCode() throws {
    #expect(try outcome(stdout: "a\nb\nend 0\n", sentinel: "end").stdoutText == "a\nb")
    for stdout in ["", "a", "\nend 0", "\nend 1\n", "\nend 0\nmore", "end 0\n"] {
      let error = #expect(throws: KubernetesError.self) {
        try outcome(stdout: stdout, sentinel: "end")
      }
      #expect(error?.kind == .commandInterrupted)
    }
    #expect(try outcome(stdout: "a\nend 3\n", status: failed, sentinel: "end").stdoutText == "a")
    #expect(try outcome(stdout: "a", status: failed, sentinel: "end").exitCode == 3)
  }

  @Test func hasLimitsAndKnowsItsChannels() {
    let tooMuch = #expect(throws: KubernetesError.self) {
      try outcome(stdout: String(repeating: "a", count: 98))
    }
    #expect(tooMuch?.kind == .limitReached)
    let tooLong = #expect(throws: KubernetesError.self) {
      try outcome(status: String(repeating: " ", count: ExecOutcome.statusBytesMax + 1))
    }
    #expect(tooLong?.kind == .limitReached)
    let unknown = #expect(throws: KubernetesError.self) {
      var outcome = ExecOutcome(
        ExecRequest(namespace: "n", pod: "p", container: "c", command: ["x"]))
      try outcome.take([9, 1])
    }
    #expect(unknown?.kind == .badAnswer)
  }

  @Test(arguments: [
    "nonsense", "{}", #"{"status":"Failure","reason":"NonZeroExitCode"}"#,
    #"{"status":"Failure","reason":"InternalError","message":"no runtime","code":500}"#,
  ])
  func refusesOtherEnds(status: String) {
    #expect(throws: KubernetesError.self) { try outcome(status: status) }
  }

  @Test func keepsTheScriptOutOfTheArguments() {
    let request = ExecRequest.script(
      "echo hunter2", namespace: "n", pod: "p", container: "c", nonce: 255)
    #expect(!request.command.joined().contains("hunter2"))
    #expect(request.command.joined().contains("head -c \(request.stdin.count)"))
    #expect(request.sentinel == "storeplane-ff")
  }
}
