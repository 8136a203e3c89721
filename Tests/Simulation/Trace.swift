import Glibc

/// What happened in a run: as a number by which two runs are compared, and in words where asked for.
final class Trace {
  private(set) var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  private(set) var count = 0
  let isVerbose: Bool
  /// When it is, in nanoseconds since the start of the run.
  var time: Int64 = 0

  init(isVerbose: Bool) { self.isVerbose = isVerbose }

  func add(_ line: String) {
    count += 1
    mix(UInt64(bitPattern: time))
    for byte in line.utf8 { mix(UInt64(byte)) }
    if isVerbose { complain("\(Trace.seconds(time)) \(line)") }
  }

  /// FNV-1a.
  func mix(_ word: UInt64) { hash = (hash ^ word) &* 0x0100_0000_01b3 }

  static func seconds(_ nanoseconds: Int64) -> String {
    let whole = String(nanoseconds / 1_000_000_000)
    let micro = String(1_000_000 + nanoseconds / 1_000 % 1_000_000).dropFirst()
    return String(repeating: " ", count: max(0, 5 - whole.count)) + whole + "." + micro
  }
}

/// Writes a line to standard error.
func complain(_ line: String) {
  let bytes = Array("\(line)\n".utf8)
  _ = write(STDERR_FILENO, bytes, bytes.count)
}
