import RPCCore

/// Never more is inflated than a message may have, and what is taken survives the way out and in again.
enum GzipTarget {
  private static let bytesMax = 4096

  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    check(Array(input))
    var inflatedBytes = 0
    if let message = try? Gzip.decompress(
      input, bytesMax: bytesMax, inflatedBytes: &inflatedBytes)
    {
      precondition(message.count <= bytesMax, "a message over the limit")
      check(message)
    }
    return 0
  }

  private static func check(_ message: [UInt8]) {
    let compressed = message.withUnsafeBytes { Gzip.compress($0) }
    var inflatedBytes = 0
    let again = compressed.withUnsafeBytes {
      try? Gzip.decompress($0, bytesMax: message.count, inflatedBytes: &inflatedBytes)
    }
    precondition(again == message, "a message changed on its way")
    precondition(inflatedBytes == message.count, "what was inflated is counted wrongly")
  }
}
