import CLibpq

/// Where a database is and how its connections behave.
package struct PostgresConfiguration: Sendable, CustomStringConvertible {
  /// libpq's settings, such as host, port, user, password, sslmode.
  private(set) var settings: [String: String]

  package var applicationName = "storeplane"
  /// The longest wait for a connection to be made.
  package var connectTimeout: Duration = .seconds(5)
  /// The server's own limit for a statement: a backstop for a client that cannot cancel any more.
  package var statementTimeout: Duration = .seconds(30)
  /// The server ends a session whose transaction was left alone for so long, which frees its locks.
  package var idleInTransactionTimeout: Duration = .seconds(60)
  /// How long a cancelled statement may go on before its connection is closed.
  package var cancelGrace: Duration = .seconds(2)
  /// Prepared statements kept per connection.
  package var preparedStatementsMax = 256
  /// Statements sent together by one `pipeline`.
  package var pipelineStatementsMax = 1_000
  /// Calls that wait for their answer on one connection.
  package var callsInFlightMax = 128
  /// Bytes of the results of one call.
  package var resultBytesMax = 64 * 1024 * 1024

  /// - Parameter url: `postgresql://user:password@host:port/database?sslmode=verify-full`, or any
  ///   other form that libpq takes. Passwords do not appear in errors.
  package init(url: String) throws(PostgresError) {
    var reason: UnsafeMutablePointer<CChar>?
    guard let options = PQconninfoParse(url, &reason) else {
      PQfreemem(reason)
      throw PostgresError(
        .misuse,
        "the database URL cannot be read: write it as postgresql://user:password@host:port/database"
          + " and percent-encode special characters")
    }
    defer { PQconninfoFree(options) }
    settings = [:]
    var option = options
    while let keyword = option.pointee.keyword {
      if let value = option.pointee.val {
        settings[String(cString: keyword)] = String(cString: value)
      }
      option += 1
    }
  }

  package var host: String? { settings["host"] }
  package var user: String? { settings["user"] }
  package var database: String? { settings["dbname"] ?? settings["user"] }

  var password: String? { settings["password"] }

  /// Without the password.
  package var description: String {
    "postgresql://\(user ?? "")@\(host ?? ""):\(settings["port"] ?? "5432")/\(database ?? "")"
  }

  /// The same database as another user.
  package func url(user: String, password: String) -> DatabaseURL {
    var others = settings
    others["user"] = nil
    others["password"] = nil
    let host = others.removeValue(forKey: "host") ?? ""
    let port = others.removeValue(forKey: "port") ?? "5432"
    others["dbname"] = nil
    let query = others.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.percentEncoded)" }
    return DatabaseURL(
      "postgresql://\(user.percentEncoded):\(password.percentEncoded)@\(host.percentEncoded)"
        + ":\(port)/\((database ?? "").percentEncoded)"
        + (query.isEmpty ? "" : "?" + query.joined(separator: "&")))
  }

  /// What a connection is opened with, once host names are resolved.
  func connectionSettings(
    _ addresses: HostAddresses
  ) -> [(keyword: String, value: String)] {
    var all = [
      // Tried first by default, and blocking.
      "gssencmode": "disable",
      "client_encoding": "UTF8",
      "application_name": applicationName,
      "keepalives_idle": "30",
      "keepalives_interval": "10",
      "keepalives_count": "3",
      "tcp_user_timeout": "30000",
    ]
    all.merge(settings) { $1 }
    all["options"] = (all["options"].map { $0 + " " } ?? "") + serverOptions
    all.merge(addresses.settings) { $1 }
    return all.map { (keyword: $0.key, value: $0.value) }
  }

  private var serverOptions: String {
    [
      "statement_timeout=\(statementTimeout.milliseconds)",
      "idle_in_transaction_session_timeout=\(idleInTransactionTimeout.milliseconds)",
      // The server notices a client that is gone while it works for it.
      "client_connection_check_interval=5000",
    ].map { "-c \($0)" }.joined(separator: " ")
  }
}

/// A database URL with its password. Printing it does not show it.
package struct DatabaseURL: Hashable, Sendable, CustomStringConvertible,
  CustomDebugStringConvertible
{
  /// For the file or environment that hands it to a service, nothing else.
  package let revealed: String

  package init(_ url: String) { revealed = url }

  package var description: String { "(database URL not shown)" }
  package var debugDescription: String { description }
}

extension Duration {
  fileprivate var milliseconds: Int64 {
    components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }
}

extension String {
  /// RFC 3986, section 2.3: all but unreserved characters become %XX.
  fileprivate var percentEncoded: String {
    var encoded = ""
    for byte in utf8 {
      let scalar = Unicode.Scalar(byte)
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", "-", ".", "_", "~":
        encoded.unicodeScalars.append(scalar)
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        encoded += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return encoded
  }
}
