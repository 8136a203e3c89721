import Glibc

/// A failed system call: which one, on what, and the kernel's reason.
package struct SystemError: Error, CustomStringConvertible, Equatable {
  package let call: String
  package let code: Int32

  package init(_ call: String, code: Int32 = errno) {
    self.call = call
    self.code = code
  }

  package var description: String { "\(call): \(String(cString: strerror(code)))" }
}

/// Every system call of this module goes through here, so that EINTR is handled in one place.
package enum System {
  /// Runs `body` until it is not interrupted; a result of -1 becomes a `SystemError`.
  @inline(__always)
  static func call<R: FixedWidthInteger>(
    _ name: StaticString, _ body: () -> R
  ) throws(SystemError) -> R {
    while true {
      let result = body()
      if result != -1 { return result }
      let code = errno
      if code != EINTR { throw SystemError("\(name)", code: code) }
    }
  }

  /// As `call`, but nil where the descriptor is not ready (EAGAIN, EWOULDBLOCK).
  @inline(__always)
  static func nonBlocking<R: FixedWidthInteger>(
    _ name: StaticString, _ body: () -> R
  ) throws(SystemError) -> R? {
    while true {
      let result = body()
      if result != -1 { return result }
      let code = errno
      if code == EAGAIN || code == EWOULDBLOCK { return nil }
      if code != EINTR { throw SystemError("\(name)", code: code) }
    }
  }

  static func close(_ descriptor: Int32) {
    // Linux frees the descriptor even where close reports EINTR: never repeat it.
    _ = Glibc.close(descriptor)
  }

  static func setOption(
    _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32
  ) throws(SystemError) {
    var value = value
    let size = socklen_t(MemoryLayout<Int32>.size)
    _ = try call("setsockopt") { setsockopt(descriptor, level, option, &value, size) }
  }

  /// The error a non-blocking connect ended with, 0 for success.
  static func pendingError(_ descriptor: Int32) throws(SystemError) -> Int32 {
    var value: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    _ = try call("getsockopt") { getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &size) }
    return value
  }
}
