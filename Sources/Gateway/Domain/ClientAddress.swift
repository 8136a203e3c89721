/// Whom limits by address count as one: an IPv4 address, or the /64 network of an IPv6 address, since
/// a single customer has all of one.
package enum ClientAddress {
  package static func key(ipv4 address: UInt32) -> String {
    [24, 16, 8, 0].map { "\(address >> UInt32($0) & 255)" }.joined(separator: ".")
  }

  /// - Parameter address: 16 bytes.
  package static func key(ipv6 address: [UInt8]) -> String {
    // ::ffff:a.b.c.d is an IPv4 client of a socket for both.
    if address.prefix(10).allSatisfy({ $0 == 0 }), address[10] == 0xFF, address[11] == 0xFF {
      return address[12...].map { "\($0)" }.joined(separator: ".")
    }
    let groups = stride(from: 0, to: 8, by: 2).map { index in
      String(UInt16(address[index]) << 8 | UInt16(address[index + 1]), radix: 16)
    }
    return groups.joined(separator: ":") + "::/64"
  }
}
