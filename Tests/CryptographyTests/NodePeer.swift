import Foundation

/// Runs `node-peer.js`: another implementation to agree with. Node is a prerequisite of the tests.
enum NodePeer {
  struct Failure: Error { let message: String }

  private struct Reply<Answer: Decodable>: Decodable { let answer: Answer }

  static func ask<Answer: Decodable>(
    _ command: String, _ arguments: [String: Any], as _: Answer.Type = Answer.self
  ) throws -> Answer {
    let process = Process()
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("node-peer.js").path
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["node", script]
    let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    var request = arguments
    request["command"] = command
    try input.fileHandleForWriting.write(
      contentsOf: JSONSerialization.data(withJSONObject: request))
    try input.fileHandleForWriting.close()
    let answer = try output.fileHandleForReading.readToEnd() ?? Data()
    let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(message: String(decoding: complaint, as: UTF8.self))
    }
    return try JSONDecoder().decode(Reply<Answer>.self, from: answer).answer
  }
}
