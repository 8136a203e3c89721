import CLinux
import Foundation
import Glibc

/// A server in Python that runs until it is let go: its script prints its port first, and ends with its
/// standard input.
///
/// Started without Foundation's `Process`, whose other children would be waited for in vain: a child
/// that lives on holds the sockets by which their end is told.
package final class PythonServer: Sendable {
  package let port: UInt16
  private let process: pid_t
  private let input: Int32
  private let output: Int32

  /// - Parameter script: its path in the checkout.
  package init(_ script: String, _ arguments: [String] = []) throws {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let python = root.appendingPathComponent(".venv/bin/python").path
    var (input, output): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
    guard storeplane_pipe(&input) == 0, storeplane_pipe(&output) == 0 else {
      throw PythonPeer.Failure(description: "no pipe: \(errno)")
    }
    defer {
      close(input[0])
      close(output[1])
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    _ = storeplane_close_from(&actions, 3)
    var process: pid_t = 0
    let words = [python, root.appendingPathComponent(script).path] + arguments
    var pointers = words.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    let code = posix_spawn(&process, python, &actions, nil, &pointers, environ)
    guard code == 0, let port = UInt16(Self.readLine(output[0])) else {
      close(input[1])
      close(output[0])
      throw PythonPeer.Failure(description: "\(script) printed no port; run scripts/venv first")
    }
    self.port = port
    self.process = process
    self.input = input[1]
    self.output = output[0]
  }

  deinit {
    close(input)
    close(output)
    waitpid(process, nil, 0)
  }

  /// What the server prints when it is sent a line.
  package func ask(_ question: String) throws -> String {
    let line = Array((question + "\n").utf8)
    guard write(input, line, line.count) == line.count else {
      throw PythonPeer.Failure(description: "the server no longer reads: \(errno)")
    }
    return Self.readLine(output)
  }

  /// The next line, empty when none comes.
  private static func readLine(_ output: Int32) -> String {
    var line: [UInt8] = []
    var ready = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
    while poll(&ready, 1, 30_000) > 0 {
      var byte: UInt8 = 0
      guard read(output, &byte, 1) == 1, byte != 10 else { break }
      line.append(byte)
    }
    return String(decoding: line, as: UTF8.self)
  }
}
