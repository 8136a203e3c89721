import Foundation
import Glibc
import Testing

@testable import ProvisionerBackend

@Suite struct HelmWorkerFolderTests {
  private let parent: String

  init() throws {
    parent = "/tmp/folders-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
  }

  /// As if made two minutes ago.
  private func age(_ path: String) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -120)], ofItemAtPath: path)
  }

  @Test func whatADeadProcessLeftGoesAndNothingElse() throws {
    defer { try? FileManager.default.removeItem(atPath: parent) }
    let held = try HelmWorkerFolder(in: parent)
    try age(held.path)
    for name in ["storeplane-helm-dead", "storeplane-helm-young", "another"] {
      try FileManager.default.createDirectory(
        atPath: "\(parent)/\(name)/inside", withIntermediateDirectories: true)
    }
    try age("\(parent)/storeplane-helm-dead")
    try age("\(parent)/another")
    let next = try HelmWorkerFolder(in: parent)
    let left = Set(
      try FileManager.default.contentsOfDirectory(atPath: parent).map { "\(parent)/\($0)" })
    #expect(
      left == [held.path, next.path, "\(parent)/storeplane-helm-young", "\(parent)/another"])
    next.remove()
    #expect(!FileManager.default.fileExists(atPath: next.path))
    held.remove()
  }
}
