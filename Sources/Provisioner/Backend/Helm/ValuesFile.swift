import Foundation
package import JSON
import Yams

/// Reads YAML files with values of the chart.
package enum ValuesFile {
  /// Above any file of values; a release holds 1 MiB with its chart.
  package static let bytesMax = 256 * 1024
  private static let depthMax = 32

  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// The files' values, later ones over earlier ones.
  package static func load(_ paths: [String]) throws(Failure) -> JSONObject {
    var values = JSONObject()
    for path in paths {
      guard let data = FileManager.default.contents(atPath: path) else {
        throw Failure(description: "\(path) cannot be read; CHART_VALUES_FILES names it")
      }
      guard data.count <= bytesMax else {
        throw Failure(description: "\(path) is larger than \(bytesMax) bytes")
      }
      values = ReleaseValues.merged(values, try parse(String(decoding: data, as: UTF8.self), path))
    }
    return values
  }

  package static func parse(_ yaml: String, _ path: String) throws(Failure) -> JSONObject {
    let loaded: Any?
    do {
      loaded = try Yams.load(yaml: yaml)
    } catch {
      throw Failure(description: "\(path) is no YAML: \(error)")
    }
    guard let loaded else { return JSONObject() }
    guard case .object(let values) = try json(loaded, path, depth: 0) else {
      throw Failure(description: "\(path) is no mapping of values")
    }
    return values
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
