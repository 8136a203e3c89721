import Glibc
import Setup

extension Wizard.Terminal {
  /// This process's terminal.
  static var standard: Wizard.Terminal {
    Wizard.Terminal(
      say: { print($0) },
      ask: { prompt, isSecret in
        print(prompt, terminator: "")
        fflush(nil)
        if !isSecret { return readLine() }
        var settings = termios()
        tcgetattr(STDIN_FILENO, &settings)
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
          tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
          print()
        }
        return readLine()
      })
  }
}
