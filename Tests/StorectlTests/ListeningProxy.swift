import Foundation
import Glibc

/// A port that takes what is sent to a proxy, and hangs up.
final class ListeningProxy {
  struct Failure: Error { let code: Int32 }

  private let descriptor: Int32
  let address: String

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var socketAddress = sockaddr_in()
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let code = withUnsafeMutablePointer(to: &socketAddress) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) | listen(descriptor, 16) | getsockname(descriptor, $0, &size)
      }
    }
    guard code == 0 else { throw Failure(code: errno) }
    address = "http://127.0.0.1:\(UInt16(bigEndian: socketAddress.sin_port))"
  }

  deinit { close(descriptor) }

  /// The beginning of a request that has come, or comes in time; nil where none does.
  func request(within milliseconds: Int32) throws -> String? {
    guard try isReadable(descriptor, milliseconds) else { return nil }
    let connection = accept(descriptor, nil, nil)
    guard connection >= 0 else { throw Failure(code: errno) }
    defer { close(connection) }
    guard try isReadable(connection, 30_000) else { return "" }
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = read(connection, &buffer, buffer.count)
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
  }

  private func isReadable(_ descriptor: Int32, _ milliseconds: Int32) throws -> Bool {
    var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      let count = poll(&readable, 1, milliseconds)
      if count >= 0 { return count == 1 }
      guard errno == EINTR else { throw Failure(code: errno) }
    }
  }
}
