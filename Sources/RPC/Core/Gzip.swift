import CZlib

/// gzip (RFC 1952) over one message at a time: each stands alone, as gRPC asks.
package enum Gzip {
  /// `bytes` compressed, behind `headroom` zero bytes.
  package static func compress(_ bytes: UnsafeRawBufferPointer, headroom: Int = 0) -> [UInt8] {
    var stream = z_stream()
    // Fails only without memory.
    precondition(storeplane_gzip_deflate_init(&stream) == Z_OK, "zlib has no memory")
    defer { deflateEnd(&stream) }
    let bound = Int(deflateBound(&stream, UInt(bytes.count)))
    return [UInt8](unsafeUninitializedCapacity: headroom + bound) { output, count in
      output[..<headroom].update(repeating: 0)
      setInput(&stream, bytes)
      stream.next_out = output.baseAddress.map { $0 + headroom }
      stream.avail_out = UInt32(bound)
      // One call is enough: `bound` is what the compressed bytes take at most.
      let code = deflate(&stream, Z_FINISH)
      precondition(code == Z_STREAM_END, "zlib cannot compress \(bytes.count) bytes: \(code)")
      count = headroom + bound - Int(stream.avail_out)
    }
  }

  private static let chunkBytes = 16 * 1024

  /// The message in `bytes`. No more than a chunk past `bytesMax` is ever inflated, however little
  /// came in.
  ///
  /// - Parameter inflatedBytes: what was inflated is added, of a message that is refused as well.
  package static func decompress(
    _ bytes: UnsafeRawBufferPointer, bytesMax: Int, inflatedBytes: inout Int
  ) throws(RPCError) -> [UInt8] {
    var stream = z_stream()
    precondition(storeplane_gzip_inflate_init(&stream) == Z_OK, "zlib has no memory")
    defer { inflateEnd(&stream) }
    setInput(&stream, bytes)
    var chunk = [UInt8](repeating: 0, count: min(max(4 * bytes.count, 256), chunkBytes))
    var output: [UInt8] = []
    while true {
      let (code, count) = chunk.withUnsafeMutableBufferPointer { buffer in
        stream.next_out = buffer.baseAddress
        stream.avail_out = UInt32(buffer.count)
        let code = inflate(&stream, Z_NO_FLUSH)
        return (code, buffer.count - Int(stream.avail_out))
      }
      inflatedBytes += count
      if output.count + count > bytesMax {
        throw RPCError(
          .resourceExhausted, "the message inflates to more than the limit of \(bytesMax) bytes")
      }
      output += chunk[..<count]
      if code == Z_STREAM_END { break }
      guard code == Z_OK, stream.avail_out == 0 else {
        throw RPCError(.internal, "the message is not gzip, or damaged; its call said it is gzip")
      }
    }
    if stream.avail_in > 0 {
      throw RPCError(.internal, "\(stream.avail_in) bytes follow the compressed message")
    }
    return output
  }

  private static func setInput(_ stream: inout z_stream, _ bytes: UnsafeRawBufferPointer) {
    // zlib only declares its input as mutable.
    stream.next_in = UnsafeMutablePointer(
      mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
    stream.avail_in = UInt32(bytes.count)
  }
}
