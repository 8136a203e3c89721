/// The head of a request, the same for HTTP/1.1 and HTTP/2.
package struct HTTPRequestHead: Equatable, Sendable {
  package var method: HTTPMethod
  /// "http" or "https" where the request names it (`:scheme`, absolute-form); nil otherwise.
  package var scheme: String?
  /// Host and optional port in lower case; empty where HTTP/1.0 sent none.
  package var authority: String
  /// Absolute path as sent, escapes included; "*" for OPTIONS of the server as a whole.
  package var path: String
  /// What follows "?", escapes included, or nil without one.
  package var query: String?
  package var headers: HTTPHeaders

  package init(
    method: HTTPMethod, scheme: String? = nil, authority: String, path: String,
    query: String? = nil, headers: HTTPHeaders = HTTPHeaders()
  ) {
    self.method = method
    self.scheme = scheme
    self.authority = authority
    self.path = path
    self.query = query
    self.headers = headers
  }

  /// Path and query as they stand in origin-form and `:path`.
  package var target: String {
    query.map { "\(path)?\($0)" } ?? path
  }
}

/// The head of a response, the same for HTTP/1.1 and HTTP/2.
package struct HTTPResponseHead: Equatable, Sendable {
  package var status: HTTPStatus
  package var headers: HTTPHeaders

  package init(status: HTTPStatus, headers: HTTPHeaders = HTTPHeaders()) {
    self.status = status
    self.headers = headers
  }
}
