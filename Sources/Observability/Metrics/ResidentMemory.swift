package import Glibc

/// What a process holds in memory (proc(5), /proc/pid/statm).
package enum ResidentMemory {
  /// Zero where the kernel does not tell.
  /// - Parameter process: nil for this one.
  package static func bytes(of process: pid_t? = nil) -> Int64 {
    let path = "/proc/\(process.map { "\($0)" } ?? "self")/statm"
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return 0 }
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: 128)
    let count = read(descriptor, &buffer, buffer.count)
    let fields = buffer.prefix(max(0, count)).split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = Int64(String(decoding: fields[1], as: UTF8.self)) else {
      return 0
    }
    return pages * Int64(getpagesize())
  }
}
