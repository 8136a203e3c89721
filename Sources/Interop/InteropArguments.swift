/// The specification's options, as `--name=value` or `--name value`; a flag alone is `true`.
package struct InteropArguments {
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
  }

  private var values: [String: String] = [:]

  /// - Parameter known: the names that are allowed, without dashes.
  package init(_ arguments: [String], known: [String]) throws(Failure) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--") else { throw Failure(description: "unknown: \(argument)") }
      let parts = argument.dropFirst(2).split(
        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = parts.first.map(String.init) ?? ""
      guard known.contains(name) else { throw Failure(description: "unknown option --\(name)") }
      if parts.count == 2 {
        values[name] = String(parts[1])
      } else if let value = rest.first, !value.hasPrefix("--") {
        values[name] = value
        rest.removeFirst()
      } else {
        values[name] = "true"
      }
    }
  }

  package func text(_ name: String) -> String? { values[name] }

  package func flag(_ name: String) throws(Failure) -> Bool {
    switch values[name] {
    case nil, "false": return false
    case "true": return true
    case let value?: throw Failure(description: "--\(name) is true or false, not \(value)")
    }
  }

  package func number<Number: FixedWidthInteger>(
    _ name: String, otherwise fallback: Number
  ) throws(Failure) -> Number {
    guard let text = values[name] else { return fallback }
    guard let number = Number(text) else {
      throw Failure(description: "--\(name) is a number, not \(text)")
    }
    return number
  }
}
