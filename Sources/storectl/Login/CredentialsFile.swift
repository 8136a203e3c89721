import Glibc
import JSON

/// The file that keeps a login, for its owner alone. It is replaced whole, so that a reader finds
/// either the old or the new one, and who changes it holds a lock on a file beside it.
struct CredentialsFile: Sendable {
  static let bytesMax = 64 * 1024

  let path: String

  /// `STORECTL_CONFIG`, else `storeplane/credentials.json` in `XDG_CONFIG_HOME` or `~/.config`.
  init(environment: [String: String]) throws(CommandFailure) {
    if let path = environment["STORECTL_CONFIG"], !path.isEmpty {
      self.path = path
    } else if let base = environment["XDG_CONFIG_HOME"], base.hasPrefix("/") {
      path = base + "/storeplane/credentials.json"
    } else if let home = environment["HOME"], !home.isEmpty {
      path = home + "/.config/storeplane/credentials.json"
    } else {
      throw CommandFailure(
        .failed, "there is no place for the login: set HOME or STORECTL_CONFIG")
    }
  }

  /// Nil where nobody is signed in.
  ///
  /// - Parameter warn: told when others could read the file.
  func read(warn: (String) -> Void = { _ in }) throws(CommandFailure) -> Credentials? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw failure("cannot be read", errno)
    }
    defer { close(descriptor) }
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_mode & 0o077 != 0 {
      warn("warning: others can read your login: chmod 600 \(path)")
    }
    var bytes = [UInt8](repeating: 0, count: Self.bytesMax)
    var count = 0
    while count < bytes.count {
      let room = bytes.count - count
      let got = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, room)
      }
      if got < 0, errno == EINTR { continue }
      if got < 0 { throw failure("cannot be read", errno) }
      if got == 0 { break }
      count += got
    }
    guard let document = try? JSON(parsing: Array(bytes[..<count])),
      let credentials = Credentials(document)
    else {
      throw CommandFailure(.denied, "\(path) is no login: sign in again with storectl login")
    }
    return credentials
  }

  func write(_ credentials: Credentials) throws(CommandFailure) {
    try makeFolder()
    let next = "\(path).\(getpid()).new"
    unlink(next)
    let descriptor = open(next, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("cannot be written", errno) }
    var rest = credentials.document.serialized()[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let code = errno
        close(descriptor)
        unlink(next)
        throw failure("cannot be written", code)
      }
      rest = rest.dropFirst(count)
    }
    let isKept = fsync(descriptor) == 0
    close(descriptor)
    guard isKept, rename(next, path) == 0 else {
      let code = errno
      unlink(next)
      throw failure("cannot be written", code)
    }
  }

  /// False where there was none.
  func remove() throws(CommandFailure) -> Bool {
    if unlink(path) == 0 { return true }
    if errno == ENOENT || errno == ENOTDIR { return false }
    throw failure("cannot be removed", errno)
  }

  /// Runs `body` while no other storectl changes the login. The wait for another one is as long as
  /// its call to the gateway; the lock of one that died is free.
  func locked<R>(_ body: () async throws -> R) async throws -> R {
    try makeFolder()
    let descriptor = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("cannot be locked", errno) }
    defer { close(descriptor) }
    while flock(descriptor, LOCK_EX) != 0 {
      guard errno == EINTR else { throw failure("cannot be locked", errno) }
    }
    return try await body()
  }

  private func makeFolder() throws(CommandFailure) {
    let folders = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
    guard !folders.isEmpty else { return }
    for count in 1...folders.count {
      let folder = folders.prefix(count).joined(separator: "/")
      if folder.isEmpty || mkdir(folder, 0o700) == 0 || errno == EEXIST { continue }
      throw CommandFailure(
        .failed, "the folder \(folder) cannot be made: \(String(cString: strerror(errno)))")
    }
  }

  private func failure(_ what: String, _ code: Int32) -> CommandFailure {
    CommandFailure(.failed, "the login at \(path) \(what): \(String(cString: strerror(code)))")
  }
}
