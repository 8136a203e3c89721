import CLinux
import Glibc

extension System {
  /// Starts a program, sought in PATH where its name has no slash, and returns its process.
  ///
  /// It has no input, none of our descriptors but `output` and `diagnostic`, the usual signals, and a
  /// process group of its own: what it starts can be killed with it, and a terminal's Ctrl-C is not for
  /// it.
  /// - Parameter environment: all that it gets, each `NAME=value`.
  package static func spawn(
    _ path: String, _ arguments: [String], environment: [String], output: Int32, diagnostic: Int32
  ) throws(SystemError) -> Int32 {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, 1)
    posix_spawn_file_actions_adddup2(&actions, diagnostic, 2)
    _ = storeplane_close_from(&actions, 3)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigaddset(&signals, SIGPIPE)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var process: pid_t = 0
    let code = withCStrings([path] + arguments) { arguments in
      withCStrings(environment) { environment in
        posix_spawnp(&process, path, &actions, &attributes, arguments, environment)
      }
    }
    if code != 0 { throw SystemError("start \(path)", code: code) }
    return process
  }

  private static func withCStrings<R>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) }
    pointers.append(nil)
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeBufferPointer { buffer in
      // Never empty: the closing nil is in it.
      body(buffer.baseAddress.unsafelyUnwrapped)
    }
  }
}
