import COpenSSL

/// Bytes that are wiped before their memory is given back, and that never print themselves.
///
/// `@unchecked Sendable` holds because nothing writes to the memory after `init`.
package final class SecretBytes: @unchecked Sendable {
  private let storage: UnsafeMutableRawBufferPointer
  private let release: @Sendable (UnsafeMutableRawBufferPointer) -> Void

  package var count: Int { storage.count }

  /// Takes over `storage`, and hands it, wiped, to `release` at the end.
  init(
    adopting storage: UnsafeMutableRawBufferPointer,
    release: @escaping @Sendable (UnsafeMutableRawBufferPointer) -> Void
  ) {
    self.storage = storage
    self.release = release
  }

  /// `count` zero bytes, which `fill` may overwrite.
  package convenience init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
    let storage = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    storage.initializeMemory(as: UInt8.self, repeating: 0)
    self.init(adopting: storage) { $0.deallocate() }
    fill(storage)
  }

  package convenience init(copying bytes: some Collection<UInt8>) {
    self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
  }

  deinit {
    OPENSSL_cleanse(storage.baseAddress, storage.count)
    release(storage)
  }

  /// The bytes, for the length of the call. A copy made inside is the caller's to wipe.
  package func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    body(UnsafeRawBufferPointer(storage))
  }

  /// A plain copy, for a caller whose next step takes an array. It is not wiped.
  package func copyBytes() -> [UInt8] {
    withUnsafeBytes { [UInt8]($0) }
  }

  /// A plain copy as text, or nil when the bytes are not UTF-8. It is not wiped.
  package func copyText() -> String? {
    withUnsafeBytes { String(validating: $0, as: UTF8.self) }
  }
}

extension SecretBytes: Equatable {
  package static func == (left: SecretBytes, right: SecretBytes) -> Bool {
    ConstantTime.equal(
      UnsafeRawBufferPointer(left.storage), UnsafeRawBufferPointer(right.storage))
  }
}

extension SecretBytes: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "<\(count) secret bytes>" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
