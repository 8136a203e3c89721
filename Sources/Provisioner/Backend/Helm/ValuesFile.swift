import Foundation
package import JSON

/// Reads YAML files with values of the chart.
package enum ValuesFile {
  /// Above any file of values; a release holds 1 MiB with its chart.
  package static let bytesMax = 256 * 1024

  package typealias Failure = YAMLDocuments.Failure

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
    let documents = try YAMLDocuments.parse(yaml, path)
    guard let document = documents.first else { return JSONObject() }
    guard documents.count == 1, case .object(let values) = document else {
      throw Failure(description: "\(path) is no mapping of values")
    }
    return values
  }
}
