import CLinux
import Glibc
import Reactor

/// The last that a child process wrote. Confined to its loop.
final class ProcessOutput: ReadinessHandler {
  private(set) var writing: Int32
  private let reading: Int32
  private let bytesMax: Int
  private let loop: EventLoop
  private var bytes: [UInt8] = []
  private var isOpen = true

  init(bytesMax: Int, loop: EventLoop) throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    guard storeplane_pipe(&ends) == 0 else { throw SystemError("pipe2") }
    reading = ends[0]
    writing = ends[1]
    self.bytesMax = bytesMax
    self.loop = loop
    _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    try loop.register(reading, for: .readable, self)
  }

  deinit {
    closeWriting()
    if isOpen { close(reading) }
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  func closeWriting() {
    if writing >= 0 { close(writing) }
    writing = -1
  }

  /// Reads what there still is, and no more: what the child has started may hold the other end.
  func drain() {
    read()
    if isOpen { shut() }
  }

  package func ready(_ readiness: Readiness) { read() }

  private func read() {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while isOpen {
      let count = Glibc.read(reading, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      if count <= 0 { return shut() }
      bytes = Array((bytes + buffer[..<count]).suffix(bytesMax))
    }
  }

  private func shut() {
    isOpen = false
    loop.deregister(reading)
    close(reading)
  }
}
