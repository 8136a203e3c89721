import Reactor

/// Where a cluster's API server is, whom to expect there, and who we are.
package struct ClusterConfiguration: Sendable {
  /// A name for logs and errors: the kubeconfig's context, or "in-cluster".
  package var name: String
  package var server: ServerAddress
  /// PEM of the authorities that sign the server's certificate; nil for the system's.
  package var authorities: [UInt8]?
  /// The name to expect in the server's certificate, where it is not the host of `server`.
  package var tlsServerName: String?
  /// Set only where the operator allowed it: see `ConfigurationRules.allowsInsecureServers`.
  package var trustsAnyServer = false
  package var credential: ClusterCredential
  /// The namespace that the context names; "default" without one.
  package var namespace = "default"

  package init(name: String, server: ServerAddress, credential: ClusterCredential) {
    self.name = name
    self.server = server
    self.credential = credential
  }
}

/// An API server's URL, taken apart.
package struct ServerAddress: Sendable, Equatable, CustomStringConvertible {
  /// A DNS name or a numeric address, without brackets.
  package let host: String
  package let port: UInt16
  /// What stands before every path, without a slash at its end; empty for most servers.
  package let basePath: String

  package init(host: String, port: UInt16, basePath: String = "") {
    self.host = host
    self.port = port
    self.basePath = basePath
  }

  /// Parses `https://host[:port][/path]`.
  package init(url: String) throws(ClusterConfigurationError) {
    guard url.hasPrefix("https://") else {
      throw ClusterConfigurationError(
        "server \"\(url)\" is not an https:// URL; credentials are never sent in clear text")
    }
    let rest = url.dropFirst(8)
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    let authority = rest[..<slash]
    guard !authority.contains("@"), !rest.contains("?"), !rest.contains("#") else {
      throw ClusterConfigurationError(
        "the server's URL has a user, a query or a fragment; write https://host:port")
    }
    guard let (host, port) = Self.split(authority) else {
      throw ClusterConfigurationError("server \"\(url)\" has no valid host and port")
    }
    var path = rest[slash...]
    while path.last == "/" { path.removeLast() }
    self.init(host: host, port: port, basePath: String(path))
  }

  private static func split(_ authority: Substring) -> (String, UInt16)? {
    var host = authority
    var port: UInt16 = 443
    let isBracketed = authority.hasPrefix("[")
    let colon = authority.lastIndex(of: ":")
    if let colon, !isBracketed || authority[..<colon].hasSuffix("]") {
      guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else {
        return nil
      }
      host = authority[..<colon]
      port = number
    }
    if isBracketed {
      guard host.hasSuffix("]") else { return nil }
      host = host.dropFirst().dropLast()
    }
    return host.isEmpty ? nil : (String(host), port)
  }

  /// Whether `host` is a numeric address, which certificates name in another way.
  package var isNumeric: Bool { SocketAddress(ip: host, port: port) != nil }

  /// As in Host and `:authority`.
  package var authority: String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  package var description: String { "https://\(authority)\(basePath)" }
}

/// How we prove who we are.
package enum ClusterCredential: Sendable {
  /// Only the network's word: for servers that take anyone.
  case anonymous
  case token(BearerToken)
  /// A file that something else rotates, such as the kubelet.
  case tokenFile(path: String)
  /// PEM.
  case clientCertificate(certificate: [UInt8], key: HiddenBytes)
  case plugin(CredentialPlugin)
}

/// A token that never shows itself by accident.
package struct BearerToken: Sendable, Equatable, CustomStringConvertible,
  CustomDebugStringConvertible, CustomReflectable
{
  let value: String

  /// White space around it, which files have, is left out.
  package init(_ text: String) {
    value = String(text.trimmingWhiteSpace())
  }

  package var description: String { "[token]" }
  package var debugDescription: String { "[token]" }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Bytes that never show themselves by accident.
package struct HiddenBytes: Sendable, Equatable, CustomStringConvertible,
  CustomDebugStringConvertible, CustomReflectable
{
  let bytes: [UInt8]

  package init(_ bytes: [UInt8]) { self.bytes = bytes }

  package var description: String { "[\(bytes.count) hidden bytes]" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// What is wrong with a kubeconfig, with a credential, or with the way to a cluster, and the remedy.
package struct ClusterConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// What an operator has to allow before it is done.
package struct ConfigurationRules: Sendable {
  /// Honours `insecure-skip-tls-verify`, with which anyone between us and the server can read every
  /// secret. Refused unless set.
  package var allowsInsecureServers = false
  /// Honours names of files and programs to run, which are of the machine where the kubeconfig was
  /// written: not for one that somebody hands in.
  package var allowsFilesAndPrograms = true

  package init() {}
}

extension StringProtocol {
  func trimmingWhiteSpace() -> SubSequence {
    guard let start = firstIndex(where: { !$0.isWhitespace }),
      let end = lastIndex(where: { !$0.isWhitespace })
    else { return self[endIndex...] }
    return self[start...end]
  }
}
