import Glibc
import Synchronization

/// Standard output and error, written to at once and without buffers: a line is there when it is
/// printed, also where another thread ends the process.
struct Terminal: Sendable {
  enum Channel: Int32, Sendable {
    case output = 1
    case error = 2
  }

  private static let writing = Mutex<Void>(())

  let channel: Channel
  /// Whether a person is looking.
  let isTerminal: Bool
  let isColoured: Bool

  init(_ channel: Channel, environment: [String: String]) {
    self.channel = channel
    isTerminal = isatty(channel.rawValue) == 1 && environment["TERM"] != "dumb"
    isColoured = isTerminal && (environment["NO_COLOR"] ?? "").isEmpty
  }

  /// The columns that a line has.
  var width: Int {
    var size = winsize()
    guard ioctl(channel.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  func line(_ text: String) { write(text + "\n") }

  func write(_ text: String) {
    Self.writing.withLock { _ in
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(channel.rawValue, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        // Whoever was to read it has gone.
        if count <= 0 { _exit(128 + SIGPIPE) }
        rest = rest.dropFirst(count)
      }
    }
  }

  func styled(_ text: String, _ style: TextStyle) -> String {
    isColoured ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }
}

enum TextStyle: Int, Sendable {
  case bold = 1
  case dim = 2
  case red = 31
  case green = 32
  case yellow = 33
  case cyan = 36
}

extension String {
  /// Without what would move the cursor or do worse: what the other side says is text and no more.
  var printable: String {
    if unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F && !$0.isControlC1 }) {
      return self
    }
    var text = ""
    for scalar in unicodeScalars {
      let isControl = scalar.value < 0x20 || scalar.value == 0x7F || scalar.isControlC1
      text.unicodeScalars.append(isControl ? " " : scalar)
    }
    return text
  }
}

extension Unicode.Scalar {
  fileprivate var isControlC1: Bool { (0x80..<0xA0).contains(value) }
}
