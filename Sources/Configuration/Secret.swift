import Glibc

/// A value that is never shown: every way to print, describe or mirror it gives `[secret]`, and its
/// memory is overwritten when the last holder lets go.
package final class Secret: Sendable, CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  private nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer

  package init(_ text: String) {
    let utf8 = Array(text.utf8)
    bytes = .allocate(byteCount: utf8.count, alignment: 1)
    bytes.copyBytes(from: utf8)
  }

  deinit {
    if let address = bytes.baseAddress { explicit_bzero(address, bytes.count) }
    bytes.deallocate()
  }

  package var byteCount: Int { bytes.count }

  /// The bytes in place, for a call into a library; not to be kept.
  package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
    -> Result
  {
    try body(UnsafeRawBufferPointer(bytes))
  }

  /// A copy as text, for an interface that takes nothing else. The copy is not overwritten.
  package func revealed() -> String {
    String(decoding: bytes, as: UTF8.self)
  }

  package var description: String { "[secret]" }
  package var debugDescription: String { "[secret]" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
