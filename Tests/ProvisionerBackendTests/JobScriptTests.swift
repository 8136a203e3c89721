import Foundation
import ProvisionerService
import Testing

@testable import ProvisionerBackend

/// The scripts of jobs, run by the shell that is here.
@Suite struct JobScriptTests {
  @Test func everyCodeOfTheScriptsIsBelievedAndNoOther() {
    let words = StoreEngine.allCases.flatMap { JobScripts.files(for: $0) }.flatMap { file in
      file.text.split { !($0.isUppercase || $0 == "_") }.map(String.init)
    }
    #expect(Set(words.compactMap(FailureCode.init(rawValue:))) == JobReport.codes)
  }

  // MARK: Files of the store

  /// What scripts of a restore find in their pod, and the store's pod in the same volume.
  private final class Volume {
    let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path

    /// - Parameter packed: what makes the files of the archive, in its folder.
    init(archive packed: String, volume: String) throws {
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
      for (name, text) in JobScripts.files(for: .woocommerce) where name.hasSuffix(".sh") {
        let here = text.replacing("/backup", with: root)
          .replacing("/dev/termination-log", with: "end")
        try here.write(toFile: "\(root)/\(name)", atomically: true, encoding: .utf8)
      }
      try #require(
        shell(
          """
          set -e
          cd \(root)
          mkdir -p job work files packed/work source/wp-content core
          mv *.sh job
          touch source/wp-config-docker.php packed/work/database.sql
          (cd packed && \(packed) && tar -czf ../kept.tar.gz *)
          (cd files && \(volume))
          echo 'cp \(root)/kept.tar.gz "$2"' >transfer.sh
          """) == 0)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    func run(_ script: String) -> Int32 {
      shell("TRANSFER='sh \(root)/transfer.sh' sh \(root)/job/\(script).sh")
    }

    /// As the store's pod does when it starts.
    func startPod() -> Int32 {
      let script = Checkout.file("helm/ecommerce-store/files/prepare.sh")
      return shell(
        "cd \(root) && SOURCE=$PWD/source CORE=$PWD/core CONTENT=$PWD/files sh \(script)")
    }

    /// Paths of the volume with what is in the files; of a folder "/".
    func files() throws -> [String: String] {
      var files: [String: String] = [:]
      for path in try FileManager.default.subpathsOfDirectory(atPath: "\(root)/files") {
        let text = try? String(contentsOfFile: "\(root)/files/\(path)", encoding: .utf8)
        files[path] = text ?? "/"
      }
      return files
    }

    func end() throws -> String {
      try String(contentsOfFile: "\(root)/end", encoding: .utf8)
    }
  }

  private static let now = "printf now >a"
  private static let then = "mkdir files && printf then >files/a"
  /// Of a restore that was killed while it unpacked.
  private static let leftover =
    "mkdir -p .storeplane-restore/files && printf old >.storeplane-restore/files/b"

  @Test(arguments: [now, "\(now) && \(leftover)", "\(now) && mkdir .storeplane-restore"])
  func filesArePutInPlace(content: String) throws {
    let volume = try Volume(archive: Self.then, volume: content)
    #expect(volume.run("fetch") == 0)
    #expect(try volume.files()["a"] == "now")
    #expect(volume.run("files") == 0)
    #expect(try volume.files() == ["a": "then"])
  }

  @Test func whatAnEarlierRestoreLeftIsNotPutInPlace() throws {
    let volume = try Volume(archive: ":", volume: "\(Self.now) && \(Self.leftover)")
    #expect(volume.run("fetch") == 0)
    #expect(volume.run("files") == 0)
    #expect(try volume.files() == ["a": "now"])
  }

  /// The database was not loaded, or the job was killed: the store's pods are started.
  @Test func aStoreIsServedWithoutWhatWasUnpacked() throws {
    let volume = try Volume(archive: Self.then, volume: Self.now)
    #expect(volume.run("fetch") == 0)
    #expect(try volume.files()[".storeplane-restore/files/a"] == "then")
    #expect(volume.startPod() == 0)
    #expect(try volume.files() == ["a": "now"])
    // Where that was while the job still went on, its end is no success.
    #expect(volume.run("files") == 1)
    #expect(try volume.end().hasPrefix("LOAD_FAILED changed "))
    #expect(try volume.files() == ["a": "now"])
  }

  // MARK: Failures

  /// What `refuse LOAD_FAILED unchanged` reports of a log.
  private func reported(_ log: String, before: String = ":") throws -> String {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let report = try #require(JobScripts.files(for: .medusa).first { $0.name == "report.sh" })
    let end = folder.appendingPathComponent("end").path
    try report.text.replacing("/dev/termination-log", with: end)
      .write(toFile: folder.path + "/report.sh", atomically: true, encoding: .utf8)
    try log.write(toFile: folder.path + "/load.log", atomically: true, encoding: .utf8)
    let script =
      "cd \(folder.path) && . ./report.sh && \(before) && refuse LOAD_FAILED unchanged load.log"
    #expect(shell(script) == 1)
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/room"))
    return try String(contentsOfFile: end, encoding: .utf8)
  }

  @Test(arguments: [
    ("ERROR 1114 (HY000) at line 7: The table 'wp_posts' is full", "BACKUP_NO_ROOM"),
    ("tar: files/a: Cannot write: No space left on device", "BACKUP_NO_ROOM"),
    ("ERROR 1064 (42000) at line 3: near 'my table is full of tea'", "LOAD_FAILED"),
    ("", "LOAD_FAILED"),
  ]) func aFullDiskIsNotTheBackups(_ log: String, _ code: String) throws {
    #expect(try reported(log) == "\(code) unchanged \(log)")
  }

  /// The log, which lies on the same disk, could not be written.
  @Test func aFullDiskNeedsNoWords() throws {
    // No file may be longer than 16 blocks of 512 or 1,024 bytes.
    #expect(try reported("", before: "ulimit -f 16") == "BACKUP_NO_ROOM unchanged ")
  }
}
