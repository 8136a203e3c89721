import Foundation
import JSON
import Yams

/// Reads YAML as the JSON that it stands for.
package enum YAMLDocuments {
  private static let depthMax = 32

  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// The documents of a text; those that are empty are left out.
  ///
  /// - Parameter place: names the text in what is thrown.
  static func parse(_ yaml: String, _ place: String) throws(Failure) -> [JSON] {
    var loaded: [Any] = []
    do {
      var sequence = try Yams.load_all(yaml: yaml)
      while let document = sequence.next() { loaded.append(document) }
      // It just ends where it cannot go on.
      if let error = sequence.error { throw error }
    } catch {
      throw Failure(description: "\(place) is no YAML: \(error)")
    }
    var documents: [JSON] = []
    for document in loaded {
      let json = try json(document, place, depth: 0)
      if json != .null { documents.append(json) }
    }
    return documents
  }

  private static func json(_ value: Any, _ place: String, depth: Int) throws(Failure) -> JSON {
    guard depth <= depthMax else {
      throw Failure(description: "\(place) is deeper than \(depthMax) levels")
    }
    switch value {
    case is NSNull: return .null
    case let value as Bool: return .bool(value)
    case let value as Int: return .number(JSONNumber(value))
    case let value as Double:
      guard let number = JSONNumber(value) else {
        throw Failure(description: "\(place) is no number that JSON has")
      }
      return .number(number)
    case let value as String: return .string(value)
    case let list as [Any]:
      var elements: [JSON] = []
      for (index, element) in list.enumerated() {
        elements.append(try json(element, "\(place)[\(index)]", depth: depth + 1))
      }
      return .array(elements)
    case let mapping as [AnyHashable: Any]:
      var object = JSONObject()
      let named = mapping.map { ("\($0.key.base)", $0.value) }.sorted { $0.0 < $1.0 }
      for (key, value) in named {
        object[key] = try json(value, "\(place): \(key)", depth: depth + 1)
      }
      return .object(object)
    default:
      throw Failure(description: "\(place) is a \(type(of: value)); quote it to make it a text")
    }
  }
}
