import Foundation
import Glibc
import ServiceRuntime
import Testing

@Suite struct ProcessEnvironmentTests {
  /// The environment of a program that this process starts.
  private static func inherited() throws -> [String] {
    let child = Process()
    child.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    let output = Pipe()
    child.standardOutput = output
    try child.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    child.waitUntilExit()
    return text.split(separator: "\n").map { String($0.prefix { $0 != "=" }) }
  }

  /// In a process of its own, since the environment belongs to all of one.
  @Test func programsInheritNoSecretOfAnyService() async {
    await #expect(processExitsWith: .success) {
      let secrets = [
        "DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_OWNER_URL", "JWT_SECRET",
        "TOKEN_SIGNING_KEY", "PLATFORM_ENCRYPTION_KEY",
      ]
      let others = ["AWS_PROFILE", "HTTPS_PROXY", "KUBECONFIG", "DATABASE_URL_FILE", "PATH"]
      for name in secrets + others.dropLast() { setenv(name, "hunter2", 1) }
      try #require(Set(Self.inherited()).isSuperset(of: secrets + others))
      ProcessEnvironment.withdrawSecrets()
      let left = try Set(Self.inherited())
      #expect(left.isDisjoint(with: secrets))
      #expect(left.isSuperset(of: others))
    }
  }
}
