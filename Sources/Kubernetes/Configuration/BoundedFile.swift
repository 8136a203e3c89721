import Glibc

/// Reads small files whole.
enum BoundedFile {
  /// Above any kubeconfig, certificate or token.
  static let bytesMax = 1024 * 1024

  static func read(_ path: String, what: String) throws(ClusterConfigurationError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { throw failure(path, what) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 16 * 1024)
    var count = 0
    while true {
      let got = bytes.withUnsafeMutableBytes {
        Glibc.read(descriptor, $0.baseAddress.map { $0 + count }, $0.count - count)
      }
      if got < 0, errno == EINTR { continue }
      if got < 0 { throw failure(path, what) }
      if got == 0 { return Array(bytes[..<count]) }
      count += got
      if count > bytesMax {
        throw ClusterConfigurationError("\(what) \(path) is larger than \(bytesMax) bytes")
      }
      if count == bytes.count { bytes += [UInt8](repeating: 0, count: bytes.count) }
    }
  }

  private static func failure(_ path: String, _ what: String) -> ClusterConfigurationError {
    ClusterConfigurationError(
      "\(what) \(path) cannot be read: \(String(cString: strerror(errno)))")
  }
}
