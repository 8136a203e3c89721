/// Where a value came from.
package enum Origin: Sendable, Hashable, CustomStringConvertible {
  case environment(variable: String)
  case file(path: String, line: Int)
  /// A secret read from a file that `variable` or a line of the configuration names.
  indirect case secretFile(path: String, named: Origin)
  case builtInDefault
  case absent

  package var description: String {
    switch self {
    case .environment(let variable): "environment variable \(variable)"
    case .file(let path, let line): line > 0 ? "\(path):\(line)" : path
    case .secretFile(let path, let named): "file \(path), named by \(named)"
    case .builtInDefault: "default"
    case .absent: "not given"
    }
  }
}

/// One thing that is wrong, or in a warning doubtful, in what a service was told.
package struct ConfigurationProblem: Sendable, Hashable, CustomStringConvertible {
  /// The setting; empty when it is about the file as a whole.
  package let key: String
  package let origin: Origin
  /// Goes on from the key: `is 70000`.
  package let reason: String
  package let remedy: String

  package var description: String {
    "\(key.isEmpty ? "" : "\(key) ")\(reason) (\(origin)); \(remedy)"
  }
}

/// Everything that is wrong, all at once. The service does not start.
package struct ConfigurationError: Error, Hashable, CustomStringConvertible {
  package let service: String
  package let problems: [ConfigurationProblem]

  package var description: String {
    let count = problems.count == 1 ? "1 problem" : "\(problems.count) problems"
    let lines = problems.map { problem in
      let subject = problem.key.isEmpty ? "" : "\(problem.key) "
      return
        "  - \(subject)\(problem.reason)\n    where:  \(problem.origin)\n    remedy: \(problem.remedy)"
    }
    return "\(service) cannot start: \(count) in its configuration\n"
      + lines.joined(separator: "\n")
  }
}
