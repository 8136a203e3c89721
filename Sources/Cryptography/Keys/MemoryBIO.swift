import COpenSSL

/// OpenSSL's in-memory stream. It wipes its memory when it is freed.
struct MemoryBIO: ~Copyable {
  private let pointer: OpaquePointer

  /// An empty one, to write to.
  init() {
    pointer = OpenSSL.require(BIO_new(BIO_s_mem()), "BIO_new")
  }

  /// One that reads `bytes`, which must outlive it.
  init(reading bytes: UnsafeRawBufferPointer) {
    pointer = OpenSSL.require(
      BIO_new_mem_buf(bytes.baseAddress, Int32(bytes.count)), "BIO_new_mem_buf")
  }

  deinit { BIO_free(pointer) }

  borrowing func withPointer<Result>(_ body: (OpaquePointer) -> Result) -> Result {
    body(pointer)
  }

  consuming func takeBytes() -> SecretBytes {
    SecretBytes(count: BIO_ctrl_pending(pointer)) { buffer in
      guard buffer.count > 0 else { return }
      let count = BIO_read(pointer, buffer.baseAddress, Int32(buffer.count))
      OpenSSL.require(Int(count) == buffer.count ? 1 : 0, "BIO_read")
    }
  }

  consuming func takeText() -> String {
    takeBytes().withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }
}
