import Glibc

extension MetricsRegistry {
  /// Adds the standard metrics of a process, read from /proc at each scrape. One that cannot be read is
  /// left out of that scrape.
  package func collectProcessMetrics() {
    collect { ProcessStatistics.samples() }
  }
}

/// What /proc tells about this process.
enum ProcessStatistics {
  static func samples() -> [MetricsRegistry.Sample] {
    var samples: [MetricsRegistry.Sample] = []
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    if let fields = readText("/proc/self/stat").flatMap(Stat.init), ticks > 0 {
      samples.append(
        .counter(
          "process_cpu_seconds_total", help: "User and system CPU time in seconds.",
          Double(fields.cpuTicks) / ticks))
      samples.append(
        .gauge(
          "process_resident_memory_bytes", help: "Resident memory in bytes.",
          Double(fields.residentPages) * Double(sysconf(Int32(_SC_PAGESIZE)))))
      samples.append(
        .gauge(
          "process_virtual_memory_bytes", help: "Virtual memory in bytes.",
          Double(fields.virtualBytes)))
      if let boot = readText("/proc/stat").flatMap(bootTime) {
        samples.append(
          .gauge(
            "process_start_time_seconds", help: "Start of the process, in seconds since 1970.",
            Double(boot) + Double(fields.startTicks) / ticks))
      }
    }
    if let count = openDescriptors() {
      samples.append(
        .gauge("process_open_fds", help: "Open file descriptors.", Double(count)))
    }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      samples.append(
        .gauge(
          "process_max_fds", help: "The most file descriptors that can be open.",
          Double(limit.rlim_cur)))
    }
    return samples
  }

  /// proc(5), /proc/pid/stat: counted from after the command, which may hold spaces and brackets.
  struct Stat {
    let cpuTicks: UInt64
    let startTicks: UInt64
    let virtualBytes: UInt64
    let residentPages: UInt64

    init?(_ text: String) {
      guard let bracket = text.lastIndex(of: ")") else { return nil }
      // The first of these is field 3, the state.
      let fields = text[text.index(after: bracket)...].split(separator: " ")
      func field(_ number: Int) -> UInt64? {
        fields.indices.contains(number - 3) ? UInt64(fields[number - 3]) : nil
      }
      guard let user = field(14), let system = field(15), let start = field(22),
        let virtual = field(23), let resident = field(24)
      else { return nil }
      cpuTicks = user + system
      startTicks = start
      virtualBytes = virtual
      residentPages = resident
    }
  }

  static func bootTime(_ text: String) -> UInt64? {
    for line in text.split(separator: "\n") where line.hasPrefix("btime ") {
      return UInt64(line.dropFirst("btime ".count))
    }
    return nil
  }

  private static func openDescriptors() -> Int? {
    guard let directory = opendir("/proc/self/fd") else { return nil }
    defer { closedir(directory) }
    var count = 0
    while readdir(directory) != nil { count += 1 }
    // Without ".", ".." and the directory's own descriptor.
    return count - 3
  }

  /// /proc/stat grows with the processors; `btime` of a big machine is within this.
  private static let fileBytesMaximum = 256 * 1024

  private static func readText(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    while bytes.count < fileBytesMaximum {
      var chunk = [UInt8](repeating: 0, count: 16 * 1024)
      let count = read(descriptor, &chunk, chunk.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { return nil }
      if count == 0 { break }
      bytes.append(contentsOf: chunk[..<count])
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
