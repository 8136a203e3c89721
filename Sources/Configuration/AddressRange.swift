import Glibc

/// The addresses of a network in CIDR notation (RFC 4632, RFC 4291): `10.0.0.0/8`, `fd00::/8`, or one
/// address alone.
///
/// An IPv4 address is also that which IPv6 maps it to, as a socket for both families names it
/// (`::ffff:10.0.0.1`).
package struct AddressRange: Sendable, Hashable {
  /// The 128 bits of IPv6, the host's all zero.
  private let network: UInt128
  private let mask: UInt128

  package func contains(ipv4 address: UInt32) -> Bool {
    Self.mapped(address) & mask == network
  }

  /// - Parameter address: 16 bytes.
  package func contains(ipv6 address: [UInt8]) -> Bool {
    Self.number(address) & mask == network
  }

  static func parse(_ text: String) throws(Rejection) -> AddressRange {
    let remedy = "give networks such as 10.0.0.0/8 or fd00::/8, or single addresses"
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let (address, bits) = parts.first.flatMap({ number(String($0)) }) else {
      throw Rejection(
        reason: "has \(Shown.text(text)), which is no IPv4 or IPv6 network", remedy: remedy)
    }
    var length = bits
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let given = Int(parts[1]),
        (1...bits).contains(given)
      else {
        // Of length 0 it is everybody, who could then choose what address they have.
        throw Rejection(
          reason: "has \(Shown.text(text)), whose prefix length is not 1 to \(bits)",
          remedy: remedy)
      }
      length = given
    }
    let mask = UInt128.max << UInt128(bits - length)
    guard address & mask == address else {
      throw Rejection(
        reason: "has \(Shown.text(text)), which has bits set beyond its prefix of \(length)",
        remedy: "give the network's first address, or the single address without /\(length)")
    }
    return AddressRange(network: address, mask: mask)
  }

  /// The address, and how many bits a prefix of its family can have.
  private static func number(_ text: String) -> (address: UInt128, bits: Int)? {
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 {
      return (mapped(UInt32(bigEndian: four.s_addr)), 32)
    }
    var six = [UInt8](repeating: 0, count: 16)
    guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
    return (number(six), 128)
  }

  private static func number(_ address: [UInt8]) -> UInt128 {
    address.reduce(0) { $0 << 8 | UInt128($1) }
  }

  private static func mapped(_ address: UInt32) -> UInt128 {
    0xFFFF_0000_0000 | UInt128(address)
  }
}
