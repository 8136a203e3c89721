import CLinux
import Glibc

/// An owned, non-blocking stream socket, closed when it goes.
struct Socket: ~Copyable {
  let descriptor: Int32

  init(adopting descriptor: Int32) { self.descriptor = descriptor }

  init(for address: SocketAddress) throws(SystemError) {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    descriptor = try System.call("socket") { socket(address.family, kind, 0) }
  }

  deinit { System.close(descriptor) }

  /// Small frames must not wait for each other: we write once a turn already.
  func disableDelay() {
    try? System.setOption(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
  }

  /// Starts connecting; whether it is connected at once.
  func connect(to address: SocketAddress) throws(SystemError) -> Bool {
    let result = address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
    if result == 0 { return true }
    if errno == EINPROGRESS || errno == EINTR { return false }
    throw SystemError("connect to \(address)")
  }

  func bindAndListen(
    on address: SocketAddress, backlog: Int32, sharesPort: Bool
  ) throws(SystemError) {
    if case .unix(let path) = address {
      try Socket.removeStale(path)
    } else {
      try System.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
      if sharesPort { try System.setOption(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
    }
    if address.withSockaddr({ bind(descriptor, $0, $1) }) != 0 {
      throw SystemError("bind to \(address)")
    }
    _ = try System.call("listen") { listen(descriptor, backlog) }
  }

  /// Removes a socket file that nobody listens on any more; leaves any other file alone.
  private static func removeStale(_ path: String) throws(SystemError) {
    var status = stat()
    guard stat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT != S_IFSOCK { throw SystemError("bind to \(path)", code: EEXIST) }
    let probe = try Socket(for: .unix(path: path))
    do {
      _ = try probe.connect(to: .unix(path: path))
    } catch {
      guard error.code == ECONNREFUSED else {
        throw SystemError("bind to \(path)", code: error.code)
      }
      unlink(path)
      return
    }
    throw SystemError("bind to \(path)", code: EADDRINUSE)
  }

  func accept() throws(SystemError) -> (descriptor: Int32, peer: SocketAddress?)? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let accepted = try withUnsafeMutablePointer(to: &storage) { pointer throws(SystemError) in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        address throws(SystemError) in
        try System.nonBlocking("accept") { storeplane_accept(descriptor, address, &length) }
      }
    }
    guard let accepted else { return nil }
    return (accepted, SocketAddress(storage: storage))
  }

  func localAddress() throws(SystemError) -> SocketAddress? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = try withUnsafeMutablePointer(to: &storage) { pointer throws(SystemError) in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        address throws(SystemError) in
        try System.call("getsockname") { getsockname(descriptor, address, &length) }
      }
    }
    return SocketAddress(storage: storage)
  }

  /// Has closing reset the connection instead of sending on in the background.
  func discardOutputOnClose() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
  }

  /// Bytes read, 0 at the end of the stream, nil when nothing is there yet.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int? {
    try System.nonBlocking("recv") { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
  }

  /// Bytes the kernel took, nil when its buffer is full.
  func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
    try System.nonBlocking("send") {
      send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    }
  }
}
