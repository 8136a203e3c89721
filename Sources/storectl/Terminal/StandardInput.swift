import Glibc

/// Values that must not stand in an argument: from a prompt that shows nothing, or from a pipe.
enum StandardInput {
  static var isTerminal: Bool { isatty(0) == 1 }

  /// All bytes of standard input, without the newline at their end, or a line typed after `prompt`.
  static func secret(
    _ prompt: String, bytesMax: Int, keepingNewline: Bool = false, errors: Terminal
  ) throws(CommandFailure) -> [UInt8] {
    var bytes: [UInt8]
    if isTerminal {
      bytes = try withoutEcho { () throws(CommandFailure) in
        errors.write("\(prompt): ")
        defer { errors.write("\n") }
        return try readLine(bytesMax: bytesMax)
      }
    } else {
      bytes = try readAll(bytesMax: bytesMax + 2)
      if !keepingNewline, bytes.last == UInt8(ascii: "\n") {
        bytes.removeLast()
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
      }
    }
    guard bytes.count <= bytesMax else {
      throw CommandFailure(.invalid, "more than \(bytesMax) bytes were given")
    }
    return bytes
  }

  /// A line that everybody may see.
  static func line(_ prompt: String, errors: Terminal) throws(CommandFailure) -> String {
    errors.write("\(prompt): ")
    return String(decoding: try readLine(bytesMax: 1024), as: UTF8.self)
  }

  private static func readLine(bytesMax: Int) throws(CommandFailure) -> [UInt8] {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while try readSome(&byte, 1) == 1, byte != UInt8(ascii: "\n") {
      guard line.count < bytesMax else {
        throw CommandFailure(.invalid, "more than \(bytesMax) bytes were typed")
      }
      line.append(byte)
    }
    return line
  }

  private static func readAll(bytesMax: Int) throws(CommandFailure) -> [UInt8] {
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = try readSome(&chunk, chunk.count)
      if count == 0 { return all }
      all += chunk[..<count]
      guard all.count <= bytesMax else {
        throw CommandFailure(.invalid, "more than \(bytesMax - 2) bytes were given")
      }
    }
  }

  private static func readSome(
    _ bytes: UnsafeMutableRawPointer, _ count: Int
  ) throws(CommandFailure) -> Int {
    while true {
      let got = read(0, bytes, count)
      if got >= 0 { return got }
      guard errno == EINTR else {
        throw CommandFailure(.failed, "standard input cannot be read (errno \(errno))")
      }
    }
  }

  private static func withoutEcho<R>(
    _ body: () throws(CommandFailure) -> R
  ) throws(CommandFailure) -> R {
    var before = termios()
    guard tcgetattr(0, &before) == 0 else {
      throw CommandFailure(.failed, "the terminal cannot be told not to show what is typed")
    }
    let restored = before
    var silent = before
    silent.c_lflag &= ~tcflag_t(ECHO)
    Interruption.shared.whenInterrupted {
      var restored = restored
      _ = tcsetattr(0, TCSAFLUSH, &restored)
    }
    tcsetattr(0, TCSAFLUSH, &silent)
    defer {
      tcsetattr(0, TCSAFLUSH, &before)
      Interruption.shared.whenInterrupted(nil)
    }
    return try body()
  }
}
