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
