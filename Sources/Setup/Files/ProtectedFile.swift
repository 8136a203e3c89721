import Glibc

/// Files that are there whole or not at all, whenever the program is stopped.
enum ProtectedFile {
  static let bytesMaximum = 256 * 1024
  static let secretMode: mode_t = 0o600
  static let publicMode: mode_t = 0o644

  /// The text of a file; nil where there is none.
  ///
  /// - Parameter isSecret: then nobody but its owner may have rights to it.
  static func read(_ path: String, isSecret: Bool) throws(SetupProblem) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    if descriptor < 0 && errno == ENOENT { return nil }
    guard descriptor >= 0 else {
      throw failure(path, "cannot be read", "let user \(getuid()) read it")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw SetupProblem(
        subject: path, reason: "is not a regular file", remedy: "move it away")
    }
    if isSecret && status.st_mode & 0o077 != 0 {
      throw SetupProblem(
        subject: path,
        reason:
          "holds secrets and others than its owner may use it (mode \(String(status.st_mode & 0o7777, radix: 8)))",
        remedy: "chmod 600 \(path), and think whether somebody has read it")
    }
    guard status.st_size <= bytesMaximum else {
      throw SetupProblem(
        subject: path, reason: "has more than \(bytesMaximum) bytes",
        remedy: "it is not what it should be: restore it")
    }
    return try text(descriptor, count: Int(status.st_size), path)
  }

  private static func text(
    _ descriptor: Int32, count: Int, _ path: String
  ) throws(SetupProblem) -> String {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        Glibc.read(descriptor, buffer.baseAddress.map { $0 + filled }, count - filled)
      }
      if got < 0 && errno == EINTR { continue }
      guard got >= 0 else { throw failure(path, "cannot be read", "check the disk") }
      if got == 0 { break }
      filled += got
    }
    guard let text = String(validating: bytes[..<filled], as: UTF8.self) else {
      throw SetupProblem(subject: path, reason: "is not UTF-8", remedy: "restore it")
    }
    return text
  }

  /// Writes a file that must not be there yet.
  static func create(_ path: String, _ text: String, mode: mode_t) throws(SetupProblem) {
    try write(path, text, mode: mode) { temporary in
      // Unlike rename, link does not replace.
      defer { unlink(temporary) }
      return link(temporary, path)
    }
  }

  /// Writes a file, in the place of the one that is there.
  static func replace(_ path: String, _ text: String, mode: mode_t) throws(SetupProblem) {
    try write(path, text, mode: mode) { rename($0, path) }
  }

  private static func write(
    _ path: String, _ text: String, mode: mode_t, place: (String) -> Int32
  ) throws(SetupProblem) {
    let remedy = "check the folder's owner, its rights and the room on the disk"
    let temporary = "\(path).new"
    // One of a run that was broken off.
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure(path, "cannot be written", remedy) }
    let isWritten =
      fchmod(descriptor, mode) == 0 && writeAll(descriptor, text)
      && fsync(descriptor) == 0
    let cause = errno
    close(descriptor)
    guard isWritten else {
      unlink(temporary)
      errno = cause
      throw failure(path, "cannot be written", remedy)
    }
    guard place(temporary) == 0 else { throw failure(path, "cannot be put in its place", remedy) }
    synchronize(folderOf: path)
  }

  private static func writeAll(_ descriptor: Int32, _ text: String) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { return false }
      bytes = bytes.dropFirst(count)
    }
    return true
  }

  /// Without it, a name may be lost with the power after this program said that all is there.
  static func synchronize(folderOf path: String) {
    let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// Makes a folder unless it is there; what is above it must be.
  static func makeFolder(_ path: String, mode: mode_t) throws(SetupProblem) {
    if mkdir(path, mode) == 0 { return }
    var status = stat()
    guard errno == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
      throw failure(path, "cannot be made a folder", "check what is there, and who owns it")
    }
  }

  /// With the system's reason.
  static func failure(_ path: String, _ reason: String, _ remedy: String) -> SetupProblem {
    SetupProblem(
      subject: path, reason: "\(reason): \(String(cString: strerror(errno)))", remedy: remedy)
  }
}
