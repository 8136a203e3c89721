import Glibc
import Reactor

/// The addresses of a database's hosts, in the comma-separated lists that libpq takes.
///
/// libpq resolves names itself and blocks while it does, so they are resolved beforehand on a thread
/// that may block. TLS still checks the certificate against the name.
struct HostAddresses: Equatable {
  /// host, hostaddr and port; empty where libpq's own defaults do.
  var settings: [String: String] = [:]

  /// Addresses tried of one name.
  static let addressesMax = 8

  static func resolve(
    _ configuration: PostgresConfiguration, on blocking: BlockingPool
  ) async throws(PostgresError) -> HostAddresses {
    let settings = configuration.settings
    guard let hosts = settings["host"], settings["hostaddr"] == nil else { return HostAddresses() }
    let names = hosts.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    if names.allSatisfy(isLocal) { return HostAddresses() }
    let ports = (settings["port"] ?? "5432").split(separator: ",").map(String.init)
    guard ports.count == 1 || ports.count == names.count else {
      throw PostgresError(
        .misuse, "the database URL has \(names.count) hosts, \(ports.count) ports")
    }
    var endpoints: [(host: String, address: String, port: String)] = []
    for (index, name) in names.enumerated() {
      let port = ports[ports.count == 1 ? 0 : index]
      for address in try await addresses(of: name, on: blocking) {
        endpoints.append((name, address, port))
      }
    }
    return HostAddresses(settings: [
      "host": endpoints.map(\.host).joined(separator: ","),
      "hostaddr": endpoints.map(\.address).joined(separator: ","),
      "port": endpoints.map(\.port).joined(separator: ","),
    ])
  }

  /// Whether `host` is the folder of a Unix socket, or the default.
  private static func isLocal(_ host: String) -> Bool {
    host.isEmpty || host.hasPrefix("/") || host.hasPrefix("@")
  }

  private static func addresses(
    of name: String, on blocking: BlockingPool
  ) async throws(PostgresError) -> [String] {
    // An empty address leaves a Unix socket to libpq.
    if isLocal(name) { return [""] }
    do {
      return try await blocking.run { try lookUp(name) }
    } catch {
      throw error as? PostgresError ?? PostgresError(.connectFailed, "host '\(name)': \(error)")
    }
  }

  private static func lookUp(_ name: String) throws -> [String] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(name, nil, &hints, &list)
    guard code == 0 else {
      throw PostgresError(
        .connectFailed,
        "the database's host '\(name)' cannot be resolved: \(String(cString: gai_strerror(code)))")
    }
    defer { freeaddrinfo(list) }
    var addresses: [String] = []
    var entry = list
    while let current = entry?.pointee, addresses.count < addressesMax {
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      if getnameinfo(
        current.ai_addr, current.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        == 0
      {
        addresses.append(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self))
      }
      entry = current.ai_next
    }
    return addresses
  }
}
