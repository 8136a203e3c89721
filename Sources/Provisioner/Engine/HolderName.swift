import Glibc

/// How a process is named in the leases it holds: its machine and its number, and what tells it from
/// an earlier one with the same.
enum HolderName {
  static func make() -> String {
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, name.count - 1)
    let host = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    return "\(host)/\(getpid())/\(String(UInt32.random(in: 0 ... .max), radix: 16))"
  }
}
