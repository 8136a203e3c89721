import Glibc
import Yams

/// The optional file: one flat YAML mapping of settings, keys in lower case.
struct ConfigurationFile {
  static let bytesMaximum = 64 * 1024

  struct Entry {
    let key: String
    let line: Int
    let value: Value
  }

  enum Value {
    case scalar(String)
    case sequence([String])
    case nothing
    case mapping
  }

  /// What keeps a file from being read at all.
  struct Unreadable: Error {
    let line: Int
    let reason: String
    let remedy: String
  }

  let entries: [Entry]

  static func read(path: String) throws(Unreadable) -> ConfigurationFile {
    let text: String
    do throws(BoundedFile.Failure) {
      text = try BoundedFile.read(path, bytesMaximum: bytesMaximum).text
    } catch {
      throw Unreadable(line: 0, reason: error.reason, remedy: error.remedy)
    }
    return try parse(text)
  }

  static func parse(_ text: String) throws(Unreadable) -> ConfigurationFile {
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw unreadable(error)
    } catch {
      throw Unreadable(line: 0, reason: "is not YAML", remedy: "give a mapping of key: value")
    }
    // An empty file says nothing, which is allowed.
    guard let root, root.scalar?.string != "" else { return ConfigurationFile(entries: []) }
    guard let mapping = root.mapping else {
      throw Unreadable(
        line: root.mark?.line ?? 0, reason: "is not a mapping",
        remedy: "give one setting a line, as in listen_address: 127.0.0.1:8080")
    }
    return ConfigurationFile(
      entries: mapping.map { key, value in
        Entry(
          key: key.scalar?.string ?? "", line: key.mark?.line ?? 0, value: Self.value(of: value))
      })
  }

  private static func value(of node: Node) -> Value {
    switch node {
    case .scalar(let scalar):
      // An unquoted `~` or nothing at all.
      let isPlain = scalar.style == .plain || scalar.style == .any
      return isPlain && ["", "~", "null"].contains(scalar.string)
        ? .nothing : .scalar(scalar.string)
    case .sequence(let nodes):
      let texts = nodes.compactMap { $0.scalar?.string }
      return texts.count == nodes.count ? .sequence(texts) : .mapping
    case .mapping, .alias:
      return .mapping
    }
  }

  /// The parser's own description quotes the line, which may hold a secret.
  private static func unreadable(_ error: YamlError) -> Unreadable {
    let remedy = "correct the YAML"
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      return Unreadable(line: mark.line, reason: "is not YAML: \(problem)", remedy: remedy)
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = duplicates.sorted().map { Shown.text($0) }.joined(separator: ", ")
      return Unreadable(
        line: context.mark.line, reason: "has a key more than once: \(keys)",
        remedy: "keep one of each")
    default:
      return Unreadable(line: 0, reason: "is not YAML", remedy: remedy)
    }
  }
}

/// A file read whole, up to a limit.
enum BoundedFile {
  struct Failure: Error {
    let reason: String
    let remedy: String
  }

  /// - Returns: the text, and the permission bits of the file.
  static func read(
    _ path: String, bytesMaximum: Int
  ) throws(Failure) -> (text: String, mode: mode_t) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
    guard descriptor >= 0 else {
      throw Failure(
        reason: "cannot be opened: \(String(cString: strerror(errno)))",
        remedy: "create it, correct the path, or let user \(getuid()) read it")
    }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT != S_IFDIR else {
      throw Failure(reason: "is a directory", remedy: "give the path of a file")
    }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw Failure(
          reason: "cannot be read: \(String(cString: strerror(errno)))", remedy: "check the disk")
      }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[..<count])
      guard bytes.count <= bytesMaximum else {
        throw Failure(
          reason: "has more than \(bytesMaximum) bytes", remedy: "give a smaller one")
      }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(reason: "is not UTF-8", remedy: "save it as UTF-8 text")
    }
    return (text, status.st_mode & 0o7777)
  }
}
