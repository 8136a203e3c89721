import Foundation

/// The most memory that the process may have.
enum MemoryLimit {
  /// The least that a control group of the process, or one above it, allows, in bytes; nil where none
  /// does (cgroup v2: `memory.max`).
  ///
  /// - Parameters:
  ///   - membership: which group the process is in: a file as `/proc/self/cgroup`.
  ///   - root: where the groups are mounted.
  static func bytes(
    membership: String = "/proc/self/cgroup", root: String = "/sys/fs/cgroup"
  ) -> Int? {
    guard let text = try? String(contentsOfFile: membership, encoding: .utf8) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("0::/") {
      var least: Int?
      var folder = root
      let below = line.dropFirst(4).split(separator: "/").map { "/\($0)" }
      for part in [""] + below {
        folder += part
        guard let content = try? String(contentsOfFile: "\(folder)/memory.max", encoding: .utf8),
          let limit = Int(content.trimmingCharacters(in: .whitespacesAndNewlines))
        else { continue }
        least = min(least ?? limit, limit)
      }
      return least
    }
    return nil
  }
}
