import Foundation
import Glibc
import Reactor

/// The folder of a supervisor's workers, with their socket in it. Only we may enter: whoever connects to
/// the socket commands Helm.
///
/// It is locked for as long as our process lives. One that is not is left from a process that was
/// killed, and goes when the next folder is made.
final class HelmWorkerFolder {
  private static let prefix = "storeplane-helm-"
  /// A folder that is younger may be about to be locked.
  private static let leftAgeSecondsMin = 60

  let path: String
  private let lock: Int32

  init(in parent: String = defaultParent) throws(SystemError) {
    Self.removeLeft(in: parent)
    var template = Array("\(parent)/\(Self.prefix)XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw SystemError("mkdtemp in \(parent)") }
    path = String(cString: made)
    guard let lock = Self.locked(path) else { throw SystemError("lock \(path)") }
    self.lock = lock
  }

  deinit { close(lock) }

  func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// A socket's path has 107 bytes at most.
  static var defaultParent: String {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    return parent.utf8.count > 60 ? "/tmp" : parent
  }

  private static func removeLeft(in parent: String) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
    for name in names where name.hasPrefix(prefix) {
      let path = "\(parent)/\(name)"
      var status = stat()
      guard lstat(path, &status) == 0, status.st_uid == geteuid(),
        time(nil) - status.st_mtim.tv_sec >= leftAgeSecondsMin, let lock = locked(path)
      else { continue }
      try? FileManager.default.removeItem(atPath: path)
      close(lock)
    }
  }

  /// Held until it is closed; nil where somebody else holds it, or there is no such folder.
  private static func locked(_ path: String) -> Int32? {
    let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    if descriptor < 0 { return nil }
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return descriptor }
    let code = errno
    close(descriptor)
    errno = code
    return nil
  }
}
