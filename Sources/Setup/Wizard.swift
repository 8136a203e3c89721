import Configuration

/// Asks for the few settings that a person may want to choose. Everything has a default; an answer
/// that a service would refuse is asked for again.
package struct Wizard {
  /// Wrong answers to one question before it gives up.
  package static let attemptsMaximum = 5

  /// What the wizard talks to.
  package struct Terminal {
    package let say: (String) -> Void
    /// The line that is typed, not shown if it is a secret; nil at the end of the input.
    package let ask: (_ prompt: String, _ isSecret: Bool) -> String?

    package init(
      say: @escaping (String) -> Void,
      ask: @escaping (_ prompt: String, _ isSecret: Bool) -> String?
    ) {
      self.say = say
      self.ask = ask
    }
  }

  private let terminal: Terminal

  package init(_ terminal: Terminal) { self.terminal = terminal }

  /// The answers, by the names of the settings file; what was left empty is not among them.
  package func run() throws(SetupError) -> [String: String] {
    terminal.say(
      """
      A few questions; the answer in brackets is taken when you give none. Everything can be changed
      later in storeplane.env, and `storeplane-setup variables` tells what else there is.
      """)
    var answers: [String: String] = [:]
    let listen = Vocabulary.prefixed(.gateway, PlatformSettings.listenAddress.key)
    answers[listen] = try ask(
      AnySetting(PlatformSettings.listenAddress.defaulting(to: "127.0.0.1:8080")),
      "Where shall the gateway, the only public door, listen?", fallback: "127.0.0.1:8080")
    answers[PlatformSettings.storeDomainSuffix.key] = try ask(
      AnySetting(PlatformSettings.storeDomainSuffix),
      "What follows a store's name in its address?", fallback: ".localhost")
    return answers
  }

  private func ask(
    _ setting: AnySetting, _ question: String, fallback: String
  ) throws(SetupError) -> String {
    let declaration = setting.declaration
    terminal.say("\n\(question)")
    for _ in 0..<Self.attemptsMaximum {
      let prompt = "\(declaration.key) [\(fallback)]: "
      guard let answer = terminal.ask(prompt, declaration.isSecret) else { break }
      let trimmed = answer.filter { !$0.isNewline && $0 != " " && $0 != "\t" }
      if trimmed.isEmpty { return fallback }
      guard let objection = objection(setting, trimmed) else { return trimmed }
      terminal.say(objection)
    }
    throw SetupError(problems: [
      SetupProblem(
        subject: declaration.key, reason: "was not answered",
        remedy: "run this in a terminal, or with --yes for the defaults")
    ])
  }

  private func objection(_ setting: AnySetting, _ answer: String) -> String? {
    let schema = ConfigurationSchema(service: "storeplane-setup", settings: [setting])
    do throws(ConfigurationError) {
      _ = try Configuration.load(schema, environment: [setting.declaration.key: answer])
      return nil
    } catch {
      return error.problems.map { "It \($0.reason): \($0.remedy)." }.joined(separator: "\n")
    }
  }
}
