/// A command to run in a container.
package struct ExecRequest: Sendable {
  package var namespace: String
  package var pod: String
  package var container: String
  /// The program and its arguments. They stand in audit logs and process lists: never a secret.
  package var command: [String]
  /// What the command reads. The protocol (v4) has no end of input: the command must know by itself
  /// how much to read, or it waits for ever.
  package var stdin: [UInt8] = []
  /// What the command prints on standard output last of all, on a line of its own before its exit
  /// code: the proof that it was seen to its end. Nil for commands where a lost end does no harm.
  package var sentinel: String?
  /// Of standard output and error together; a command that prints more is given up.
  package var outputBytesMax = 1024 * 1024

  package init(
    namespace: String, pod: String, container: String, command: [String], stdin: [UInt8] = []
  ) {
    self.namespace = namespace
    self.pod = pod
    self.container = container
    self.command = command
    self.stdin = stdin
  }

  /// A shell script, sent on standard input so that what it holds is in no argument.
  ///
  /// It is run when it has come in whole, by the shell itself and not from its input, which programs
  /// in it would read away; their input is empty. It may run again after a lost connection, so it
  /// must be idempotent.
  package static func script(
    _ script: String, namespace: String, pod: String, container: String,
    nonce: UInt64 = .random(in: .min ... .max)
  ) -> ExecRequest {
    let mark = "storeplane-\(String(nonce, radix: 16))"
    let input = Array("\(script)\n# \(mark)".utf8)
    let runner = """
      s=$(head -c \(input.count)); case $s in *'# \(mark)') ;; *) exit \(incompleteExitCode);; esac
      (eval "$s") </dev/null; c=$?; printf '\\n%s %d\\n' '\(mark)' "$c"; exit "$c"
      """
    var request = ExecRequest(
      namespace: namespace, pod: pod, container: container, command: ["sh", "-c", runner],
      stdin: input)
    request.sentinel = mark
    return request
  }

  /// A script's runner ends with it when the script did not arrive whole.
  static let incompleteExitCode = 97
}

/// How a command ended, and what it printed.
package struct ExecResult: Sendable, Equatable {
  package let exitCode: Int
  package let stdout: [UInt8]
  package let stderr: [UInt8]

  package init(exitCode: Int, stdout: [UInt8], stderr: [UInt8]) {
    self.exitCode = exitCode
    self.stdout = stdout
    self.stderr = stderr
  }

  /// Of standard error, in a failure.
  private static let tailBytesMax = 1024

  package var stdoutText: String { String(decoding: stdout, as: UTF8.self) }
  package var stderrText: String { String(decoding: stderr, as: UTF8.self) }

  /// Throws `commandFailed` with the end of standard error unless the exit code is 0.
  ///
  /// - Parameter redacting: secrets that the command may have printed.
  package func requireSuccess(redacting secrets: [String] = []) throws(KubernetesError) {
    guard exitCode != 0 else { return }
    let tail = Redaction.tail(of: stderr, bytesMax: Self.tailBytesMax, secrets)
    var error = KubernetesError(
      .commandFailed,
      "the command ended with exit code \(exitCode): \(tail.trimmingWhiteSpace())")
    error.exitCode = exitCode
    throw error
  }
}
