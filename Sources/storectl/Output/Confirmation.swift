extension Output {
  func requireSomebodyToAsk() throws(CommandFailure) {
    guard StandardInput.isTerminal else {
      throw .usage("give --yes to go ahead without being asked")
    }
  }

  /// Asks before something that cannot be undone. Throws unless the answer is yes.
  func confirm(_ question: String) throws(CommandFailure) {
    try requireSomebodyToAsk()
    let answer = try StandardInput.line("\(question.printable) [y/N]", errors: messages)
    guard ["y", "yes"].contains(answer.lowercased()) else {
      throw CommandFailure(.failed, "nothing was changed")
    }
  }
}
