/// One step from a value to a value inside it.
package enum JSONPathStep: Hashable, Sendable, ExpressibleByStringLiteral,
  ExpressibleByIntegerLiteral
{
  case key(String)
  case index(Int)

  package init(stringLiteral value: String) { self = .key(value) }
  package init(integerLiteral value: Int) { self = .index(value) }
}

/// Where a value is in a document: `$.spec.containers[0]["odd key"]`.
package struct JSONPath: Hashable, Sendable, CustomStringConvertible {
  /// Keys come from the peer; an error shows no more of one than this.
  private static let shownKeyCharactersMax = 64

  package var steps: [JSONPathStep]

  package init(_ steps: [JSONPathStep] = []) {
    self.steps = steps
  }

  package var description: String {
    steps.reduce(into: "$") { text, step in
      switch step {
      case .index(let index): text += "[\(index)]"
      case .key(let key) where Self.isPlain(key): text += ".\(key)"
      case .key(let key):
        var writer = JSONWriter()
        let isLong = key.count > Self.shownKeyCharactersMax
        writer.string(isLong ? String(key.prefix(Self.shownKeyCharactersMax)) + "…" : key)
        text += "[\(writer.text)]"
      }
    }
  }

  private static func isPlain(_ key: String) -> Bool {
    1...shownKeyCharactersMax ~= key.utf8.count
      && key.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}

/// A value that is not there, or is of another kind than asked for.
package struct JSONAccessError: Error, Equatable, Sendable, CustomStringConvertible {
  package let path: JSONPath
  /// What was asked for, and what was found.
  package let reason: String

  package var description: String { "\(path): \(reason)" }
}

extension JSON {
  /// The value at the end of the path, or nil where a step leads nowhere:
  /// `pod["spec", "containers", 0, "image"]?.string`.
  package subscript(_ path: JSONPathStep...) -> JSON? {
    value(at: path)
  }

  package func string(_ path: JSONPathStep...) throws(JSONAccessError) -> String {
    try require(path, "a string", \.string)
  }

  package func bool(_ path: JSONPathStep...) throws(JSONAccessError) -> Bool {
    try require(path, "a boolean", \.bool)
  }

  package func int64(_ path: JSONPathStep...) throws(JSONAccessError) -> Int64 {
    try require(path, "a 64-bit integer", \.int64)
  }

  package func array(_ path: JSONPathStep...) throws(JSONAccessError) -> [JSON] {
    try require(path, "an array", \.array)
  }

  package func object(_ path: JSONPathStep...) throws(JSONAccessError) -> JSONObject {
    try require(path, "an object", \.object)
  }

  /// Puts a value at the end of the path. Missing objects on the way are made; an index replaces
  /// an element or, equal to the count, appends one.
  package mutating func set(_ value: JSON, at path: JSONPathStep...) throws(JSONAccessError) {
    try set(value, at: path[...], from: path)
  }

  private func value(at path: [JSONPathStep]) -> JSON? {
    var value = self
    for step in path {
      switch (step, value) {
      case (.key(let key), .object(let object)):
        guard let member = object[key] else { return nil }
        value = member
      case (.index(let index), .array(let array)):
        guard array.indices.contains(index) else { return nil }
        value = array[index]
      default: return nil
      }
    }
    return value
  }

  private func require<Value>(
    _ path: [JSONPathStep], _ wanted: String, _ view: (JSON) -> Value?
  ) throws(JSONAccessError) -> Value {
    guard let found = value(at: path) else {
      throw JSONAccessError(path: JSONPath(path), reason: "expected \(wanted), found nothing")
    }
    guard let value = view(found) else {
      throw JSONAccessError(
        path: JSONPath(path), reason: "expected \(wanted), found \(found.kind)")
    }
    return value
  }

  private mutating func set(
    _ value: JSON, at path: ArraySlice<JSONPathStep>, from whole: [JSONPathStep]
  ) throws(JSONAccessError) {
    guard let step = path.first else {
      self = value
      return
    }
    let rest = path.dropFirst()
    switch (step, self) {
    case (.key(let key), .object(var object)):
      var member = object[key] ?? .object(JSONObject())
      try member.set(value, at: rest, from: whole)
      object[key] = member
      self = .object(object)
    case (.index(let index), .array(var array)) where 0...array.count ~= index:
      if index == array.count { array.append(.object(JSONObject())) }
      try array[index].set(value, at: rest, from: whole)
      self = .array(array)
    case (.index, .array(let array)):
      throw JSONAccessError(
        path: JSONPath(Array(whole[..<rest.startIndex])),
        reason: "the array has \(array.count) elements")
    default:
      let wanted = if case .key = step { "an object" } else { "an array" }
      throw JSONAccessError(
        path: JSONPath(Array(whole[..<path.startIndex])),
        reason: "expected \(wanted), found \(kind)")
    }
  }
}
