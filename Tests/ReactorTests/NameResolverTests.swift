import Glibc
import Reactor
import Testing

@Suite struct NameResolverTests {
  @Test func noMoreThanTheLimitIsTakenOfOneName() {
    let count = NameResolver.addressesMax + 4
    var addresses = (0..<count).map { index in
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x0A00_0000 + index).bigEndian
      return address
    }
    addresses.withUnsafeMutableBytes { bytes in
      var entries = [addrinfo](repeating: addrinfo(), count: count)
      entries.withUnsafeMutableBufferPointer { entries in
        for index in entries.indices {
          entries[index].ai_addrlen = socklen_t(MemoryLayout<sockaddr_in>.size)
          entries[index].ai_addr = bytes.baseAddress?.advanced(
            by: index * MemoryLayout<sockaddr_in>.stride
          ).assumingMemoryBound(to: sockaddr.self)
          entries[index].ai_next =
            index + 1 < count ? entries.baseAddress?.advanced(by: index + 1) : nil
        }
        let taken = NameResolver.addresses(entries.baseAddress, 443)
        #expect(
          taken == (0..<16).map { .ipv4(address: UInt32(0x0A00_0000 + $0), port: 443) })
      }
    }
  }
}
