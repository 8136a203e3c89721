import Foundation
import Glibc
import Setup

/// An installation in a folder that goes with the value.
final class TemporaryInstallation {
  static let now: Int64 = 1_900_000_000
  static let day: Int64 = 86_400

  let installation: Installation

  init() {
    let name = "storeplane-setup-\(UUID().uuidString)"
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(name)
    installation = Installation(folder: folder.path)
  }

  deinit { try? FileManager.default.removeItem(atPath: installation.folder) }

  @discardableResult
  func prepare(
    environment: [String: String] = [:], choices: [String: String] = [:], portBase: Int? = nil,
    now: Int64 = TemporaryInstallation.now
  ) throws -> Preparation.Outcome {
    try Preparation(installation, environment: environment, now: now)
      .run(choices: choices, portBase: portBase)
  }

  func path(_ name: String) -> String { "\(installation.folder)/\(name)" }

  func text(_ name: String) throws -> String {
    try String(contentsOfFile: path(name), encoding: .utf8)
  }

  func write(_ text: String, to name: String, mode: mode_t = 0o600) throws {
    try text.write(toFile: path(name), atomically: true, encoding: .utf8)
    chmod(path(name), mode)
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path(name)) }

  func mode(_ name: String) -> mode_t {
    var status = stat()
    return stat(path(name), &status) == 0 ? status.st_mode & 0o7777 : 0
  }

  /// Every file below the folder, with what is in it.
  func contents() throws -> [String: String] {
    var contents: [String: String] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: installation.folder) {
      var status = stat()
      if stat(path(name), &status) == 0, status.st_mode & S_IFMT == S_IFREG {
        contents[name] = try text(name)
      }
    }
    return contents
  }

  /// What is wrong when it is prepared.
  func problems(
    environment: [String: String] = [:], now: Int64 = TemporaryInstallation.now
  ) -> [SetupProblem] {
    do {
      try prepare(environment: environment, now: now)
      return []
    } catch let error as SetupError {
      return error.problems
    } catch {
      return []
    }
  }

  /// What is wrong with its settings.
  func complaints() -> [SetupProblem] {
    do throws(SetupError) {
      try InstallationSettings(installation).check()
      return []
    } catch {
      return error.problems
    }
  }

  /// Appends lines to storeplane.env.
  func append(_ lines: String...) throws {
    try write(text("storeplane.env") + lines.map { $0 + "\n" }.joined(), to: "storeplane.env")
  }
}
