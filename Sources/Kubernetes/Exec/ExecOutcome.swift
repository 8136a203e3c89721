import JSON

/// Gathers what comes on the channels of `v4.channel.k8s.io`, and judges how the command ended.
struct ExecOutcome {
  static let subprotocol = "v4.channel.k8s.io"
  /// The first byte of each message.
  enum Channel: UInt8 { case stdin, stdout, stderr, error, resize }
  /// A Status object is small.
  static let statusBytesMax = 64 * 1024

  private let request: ExecRequest
  private var stdout: [UInt8] = []
  private var stderr: [UInt8] = []
  private var status: [UInt8] = []

  init(_ request: ExecRequest) { self.request = request }

  mutating func take(_ message: [UInt8]) throws(KubernetesError) {
    guard let first = message.first else { return }
    let data = message.dropFirst()
    switch Channel(rawValue: first) {
    case .stdout: stdout += data
    case .stderr: stderr += data
    case .error: status += data
    case .stdin, .resize, nil:
      throw KubernetesError(.badAnswer, "exec: the server wrote on channel \(first)")
    }
    guard stdout.count + stderr.count <= request.outputBytesMax else {
      throw KubernetesError(
        .limitReached,
        "exec: the command printed more than \(request.outputBytesMax) bytes (outputBytesMax)")
    }
    guard status.count <= Self.statusBytesMax else {
      throw KubernetesError(
        .limitReached, "exec: the status is larger than \(Self.statusBytesMax) bytes")
    }
  }

  /// To be called when the connection has ended, however it did.
  func result(connectionEnd: String) throws(KubernetesError) -> ExecResult {
    guard !status.isEmpty else {
      throw KubernetesError(
        .commandInterrupted, "exec: the connection ended before the command did: \(connectionEnd)")
    }
    let exitCode = try exitCode()
    guard let sentinel = request.sentinel else {
      return ExecResult(exitCode: exitCode, stdout: stdout, stderr: stderr)
    }
    guard let printed = Self.withoutSentinel(stdout, "\n\(sentinel) \(exitCode)\n") else {
      // A command that says itself that it failed has ended; only success can be a mistake.
      if exitCode != 0 { return ExecResult(exitCode: exitCode, stdout: stdout, stderr: stderr) }
      throw KubernetesError(
        .commandInterrupted,
        "exec: exit code 0 without the command's last line; the connection was dropped on the way")
    }
    return ExecResult(exitCode: exitCode, stdout: printed, stderr: stderr)
  }

  private func exitCode() throws(KubernetesError) -> Int {
    let json = try KubernetesClient.parse(status, bytesMax: Self.statusBytesMax)
    if json["status"]?.string == "Success" { return 0 }
    guard json["reason"]?.string == "NonZeroExitCode" else {
      var error = StatusAnswer.error(status: json, code: json["code"]?.int64.map(Int.init) ?? 500)
      error.message = "exec: \(error.message)"
      throw error
    }
    let causes = json["details", "causes"]?.array ?? []
    let cause = causes.first { $0["reason"]?.string == "ExitCode" }
    guard let code = cause?["message"]?.string.flatMap({ Int($0) }) else {
      throw KubernetesError(.badAnswer, "exec: the status has no exit code")
    }
    return code
  }

  /// What stands before the sentinel; nil where it is not the end.
  private static func withoutSentinel(_ bytes: [UInt8], _ sentinel: String) -> [UInt8]? {
    let end = Array(sentinel.utf8)
    guard bytes.count >= end.count, bytes.suffix(end.count).elementsEqual(end) else { return nil }
    return Array(bytes.dropLast(end.count))
  }
}
