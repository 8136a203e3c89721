import COpenSSL

/// Comparison whose time depends on the lengths alone, never on where two values differ.
package enum ConstantTime {
  package static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBytes { left in
      right.withUnsafeBytes { right in equal(left, right) }
    }
  }

  static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard left.count > 0 else { return true }
    return CRYPTO_memcmp(left.baseAddress, right.baseAddress, left.count) == 0
  }
}
