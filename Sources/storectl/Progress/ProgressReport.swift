import Synchronization

/// Shows an operation as it goes on: a line a change, and on a terminal one more below them that
/// says what is under way and for how long.
final class ProgressReport: Sendable {
  private struct State {
    var latest: OperationProgress?
    var liveLine = ""
    var began = WallTime.now
    var note = ""
  }

  private static let stepColumns = 20
  private static let stateColumns = 9

  private let terminal: Terminal
  private let state = Mutex(State())

  init(on terminal: Terminal) { self.terminal = terminal }

  func show(_ operation: OperationProgress) {
    state.withLock { state in
      let changes = operation.changes(since: state.latest)
      state.latest = operation
      state.note = ""
      erase(&state)
      for change in changes { terminal.line(line(change, operation)) }
      draw(&state)
    }
  }

  /// Something about the watching itself.
  func note(_ text: String) {
    state.withLock { state in
      guard state.note != text else { return }
      state.note = text
      erase(&state)
      terminal.line(terminal.styled("\(WallTime.now.timeOfDay)  \(text.printable)", .dim))
      draw(&state)
    }
  }

  /// Shows the time that has passed; for a terminal, once a second.
  func tick() {
    state.withLock { state in
      erase(&state)
      draw(&state)
    }
  }

  var isLive: Bool { terminal.isTerminal }

  /// Leaves the changes and takes the line below them away.
  func end() { state.withLock { erase(&$0) } }

  private func line(_ change: OperationProgress.Change, _ operation: OperationProgress) -> String {
    let subject = change.subject.isEmpty ? operation.kind : change.subject
    let style = EnumName.style(ofState: change.state)
    let cells = [
      subject.printable.padded(to: Self.stepColumns),
      change.state.printable.padded(to: Self.stateColumns),
    ]
    let shownState = style.map { terminal.styled(cells[1], $0) } ?? cells[1]
    let line = "\(WallTime.now.timeOfDay)  \(cells[0])  \(shownState)  \(change.text.printable)"
    return change.text.isEmpty ? line.withoutTrailingSpaces : line
  }

  private func erase(_ state: inout State) {
    if state.liveLine.isEmpty { return }
    terminal.write("\r\u{1B}[2K")
    state.liveLine = ""
  }

  private func draw(_ state: inout State) {
    guard isLive, let latest = state.latest, !latest.isDone else { return }
    let elapsed = SpanText.text(seconds: WallTime.now.seconds(since: state.began).rounded())
    var text = "  \(latest.percent) %  \(latest.current?.name ?? latest.state)  \(elapsed)"
    if let detail = latest.current?.detail, !detail.isEmpty { text += "  \(detail)" }
    state.liveLine = String(text.printable.prefix(terminal.width - 1))
    terminal.write(terminal.styled(state.liveLine, .dim))
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }

  fileprivate var withoutTrailingSpaces: String {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}
