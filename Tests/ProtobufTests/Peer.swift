import Contracts
import Foundation
import Testing

/// Python's protobuf, in a process for each command; see peer.py.
final class Peer {
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(DescriptorSet.serialized).write(to: folder.appending(path: "set.binpb"))
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  /// Runs a command and returns what it printed.
  @discardableResult
  func run(_ command: String, _ arguments: String...) throws -> String {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    let python = tests.appending(path: "../../.venv/bin/python").standardized
    try #require(
      FileManager.default.isExecutableFile(atPath: python.path),
      "no \(python.path): scripts/generate installs it")
    let process = Process()
    process.executableURL = python
    process.arguments = [tests.appending(path: "peer.py").path, command, folder.path] + arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "peer.py \(command): \(text)")
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// The messages that the last command made.
  func messages() throws -> [[UInt8]] {
    var data = try Data(contentsOf: folder.appending(path: "messages.bin"))[...]
    var messages: [[UInt8]] = []
    while !data.isEmpty {
      let length = data.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
      messages.append(Array(data.dropFirst(4).prefix(length)))
      data = data.dropFirst(4 + length)
    }
    return messages
  }

  /// Writes what became of each message: nil when it was not accepted.
  func answer(_ answers: [[UInt8]?]) throws {
    var data = Data()
    for answer in answers {
      let bytes = (answer == nil ? [0] : [1]) + (answer ?? [])
      withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { data.append(contentsOf: $0) }
      data.append(contentsOf: bytes)
    }
    try data.write(to: folder.appending(path: "answers.bin"))
  }
}
