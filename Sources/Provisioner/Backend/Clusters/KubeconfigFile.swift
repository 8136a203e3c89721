import Glibc
import Reactor

/// A kubeconfig as a file that is in memory only and has no name: our own processes can open it while
/// this lives, and nothing of it is left when we die.
final class KubeconfigFile {
  /// By which a child opens it.
  let path: String
  private let descriptor: Int32

  init(_ text: String) throws(SystemError) {
    var generator = SystemRandomNumberGenerator()
    let name = "/storeplane-" + String(generator.next() as UInt64, radix: 36)
    // Closed on exec by itself.
    descriptor = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else { throw SystemError("shm_open") }
    shm_unlink(name)
    path = "/proc/\(getpid())/fd/\(descriptor)"
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        let error = SystemError("write to shared memory")
        close(descriptor)
        throw error
      }
      rest = rest.dropFirst(count)
    }
  }

  deinit { close(descriptor) }
}
