import Glibc

/// A blocking TCP client that sends exactly the bytes of a test.
package final class RawClient {
  package struct Failure: Error {
    package let what: String

    package init(what: String) { self.what = what }
  }

  private let descriptor: Int32
  private var buffered: [UInt8] = []

  package init(port: UInt16, receiveBufferBytes: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var bytes = receiveBufferBytes {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, 4)
    }
    // A test that waits for ever says nothing.
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if code != 0 { throw Failure(what: "connect: \(errno)") }
  }

  deinit { Glibc.close(descriptor) }

  package func send(_ text: String) throws { try send(Array(text.utf8)) }

  package func send(_ bytes: [UInt8]) throws {
    var offset = 0
    while offset < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset,
          Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { throw Failure(what: "send: \(errno)") }
      offset += count
    }
  }

  /// Resets the connection, as a crashed client's kernel would.
  package func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    shutdown(descriptor, Int32(SHUT_RDWR))
  }

  private func fill() throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    if count < 0 { throw Failure(what: "recv: \(errno)") }
    buffered += bytes[..<count]
    return count > 0
  }

  /// Everything until the server closes.
  package func readToEnd() throws -> String {
    while try fill() {}
    defer { buffered = [] }
    return String(decoding: buffered, as: UTF8.self)
  }

  /// Up to and with `mark`.
  package func read(through mark: String) throws -> String {
    let wanted = Array(mark.utf8)
    while true {
      if let range = buffered.firstRange(of: wanted) {
        defer { buffered.removeSubrange(..<range.upperBound) }
        return String(decoding: buffered[..<range.upperBound], as: UTF8.self)
      }
      if try !fill() {
        throw Failure(what: "closed after: \(String(decoding: buffered, as: UTF8.self))")
      }
    }
  }
}
