import Foundation
import JSON

/// The name and version of a chart, as Helm tells them of a release.
enum ChartIdentity {
  /// - Parameter path: of its Chart.yaml.
  static func read(_ path: String) throws(ValuesFile.Failure) -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ValuesFile.Failure(description: "\(path) cannot be read; CHART_PATH names its folder")
    }
    let chart = try ValuesFile.parse(String(decoding: data, as: UTF8.self), path)
    guard let name = chart["name"]?.string, let version = chart["version"]?.string else {
      throw ValuesFile.Failure(description: "\(path) has no name and version")
    }
    return "\(name)-\(version)"
  }
}
