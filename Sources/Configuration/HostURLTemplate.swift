/// The address of a host that is not known yet: `https://{host}` or `http://{host}:8880`.
package struct HostURLTemplate: Sendable, Hashable, CustomStringConvertible {
  static let placeholder = "{host}"

  /// `http` or `https`.
  package let scheme: String
  /// Nil for the scheme's own.
  package let port: UInt16?

  package init(scheme: String, port: UInt16?) {
    self.scheme = scheme
    self.port = port
  }

  package var description: String { url(host: Self.placeholder) }

  /// Without a slash at its end.
  package func url(host: String) -> String { "\(scheme)://\(authority(host: host))" }

  /// Host and port, as in the field Host.
  package func authority(host: String) -> String { port.map { "\(host):\($0)" } ?? host }

  /// Where a server of the scheme listens.
  package var effectivePort: UInt16 { port ?? (scheme == "https" ? 443 : 80) }

  static func parse(_ text: String) throws(Rejection) -> HostURLTemplate {
    for scheme in ["https", "http"] {
      let start = "\(scheme)://\(placeholder)"
      guard text.hasPrefix(start) else { continue }
      let rest = text.dropFirst(start.count)
      if rest.isEmpty { return HostURLTemplate(scheme: scheme, port: nil) }
      if rest.first == ":", rest.dropFirst().allSatisfy(\.isWholeNumber),
        let port = UInt16(rest.dropFirst()), port > 0
      {
        return HostURLTemplate(scheme: scheme, port: port)
      }
    }
    throw Rejection(
      reason: "is \(Shown.text(text))",
      remedy: "give http:// or https://, then {host}, then a port where it is not the usual one: "
        + "https://{host} or http://{host}:8880")
  }
}

extension Setting where Value == HostURLTemplate {
  package static func hostURL(
    _ key: String, default fallback: String? = nil, _ summary: String, example: String
  ) -> Setting {
    make(key, kind: "URL of {host}", default: fallback, summary, example: example) {
      text throws(Rejection) in try HostURLTemplate.parse(text)
    }
  }
}
