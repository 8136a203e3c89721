import JSON

/// On whose behalf a token speaks.
package struct TokenPrincipal: Equatable, Sendable {
  /// The user, API key or service (`sub`).
  package var subject: String
  /// The tenant all requests are scoped to (`tenant`).
  package var tenant: String?
  package var roles: [String]
  /// The login that the token comes from (`sid`), for revocation.
  package var session: String?
  /// The request that the token was made for (`rid`), in tokens between services.
  package var requestID: String?

  package init(
    subject: String, tenant: String? = nil, roles: [String] = [], session: String? = nil,
    requestID: String? = nil
  ) {
    self.subject = subject
    self.tenant = tenant
    self.roles = roles
    self.session = session
    self.requestID = requestID
  }
}

/// What a verified token says. Times are seconds since 1970.
package struct TokenClaims: Equatable, Sendable {
  package let principal: TokenPrincipal
  package let issuer: String
  package let audience: [String]
  /// The token's own id (`jti`).
  package let tokenID: String?
  package let issuedAt: Int64
  package let notBefore: Int64?
  package let expiresAt: Int64
}

extension TokenClaims {
  static let audienceCountMax = 16
  static let roleCountMax = 64
  /// Bytes of any one text.
  static let textLengthMax = 512

  var encoded: [UInt8] {
    var json = JSONWriter(reservingBytes: 256)
    json.openObject()
    json.member("iss", issuer)
    json.member("sub", principal.subject)
    if audience.count == 1 {
      json.member("aud", audience[0])
    } else {
      json.member("aud", audience)
    }
    json.member("iat", issuedAt)
    json.member("nbf", notBefore)
    json.member("exp", expiresAt)
    json.member("jti", tokenID)
    json.member("tenant", principal.tenant)
    if !principal.roles.isEmpty { json.member("roles", principal.roles) }
    json.member("sid", principal.session)
    json.member("rid", principal.requestID)
    json.closeObject()
    return json.bytes
  }

  init(_ object: JSONObject) throws(TokenError) {
    issuer = try Self.required("iss", Self.text("iss", in: object))
    audience = try Self.texts(
      "aud", in: object, countMax: Self.audienceCountMax, orSingle: true)
    tokenID = try Self.text("jti", in: object)
    issuedAt = try Self.required("iat", Self.time("iat", in: object))
    notBefore = try Self.time("nbf", in: object)
    expiresAt = try Self.required("exp", Self.time("exp", in: object))
    principal = TokenPrincipal(
      subject: try Self.required("sub", Self.text("sub", in: object)),
      tenant: try Self.text("tenant", in: object),
      roles: try Self.texts("roles", in: object, countMax: Self.roleCountMax, orSingle: false),
      session: try Self.text("sid", in: object), requestID: try Self.text("rid", in: object))
  }

  private static func required<Value>(
    _ name: String, _ value: Value?
  ) throws(TokenError) -> Value {
    guard let value else { throw .missingClaim(name) }
    return value
  }

  private static func text(
    _ name: String, in object: JSONObject
  ) throws(TokenError) -> String? {
    guard let value = object[name] else { return nil }
    return try text(name, value)
  }

  private static func text(
    _ name: String, _ value: JSON
  ) throws(TokenError) -> String {
    guard case .string(let text) = value, !text.isEmpty, text.utf8.count <= textLengthMax else {
      throw .malformedClaim(name, expected: "a text of 1 to \(textLengthMax) bytes")
    }
    return text
  }

  private static func texts(
    _ name: String, in object: JSONObject, countMax: Int, orSingle: Bool
  ) throws(TokenError) -> [String] {
    switch object[name] {
    case nil: return []
    case .array(let values) where values.count <= countMax:
      var texts: [String] = []
      for value in values { texts.append(try text(name, value)) }
      return texts
    case .some(let value):
      guard orSingle, case .string = value else {
        throw .malformedClaim(name, expected: "an array of at most \(countMax) texts")
      }
      return [try text(name, value)]
    }
  }

  /// NumericDate may have a fraction (RFC 7519, section 2); whole seconds are enough.
  private static func time(
    _ name: String, in object: JSONObject
  ) throws(TokenError) -> Int64? {
    guard let value = object[name] else { return nil }
    guard let seconds = value.double, (0...Double(Timestamp.secondsMax)).contains(seconds)
    else {
      throw .malformedClaim(name, expected: "seconds since 1970, before the year 10000")
    }
    return Int64(seconds.rounded(.down))
  }
}

extension JSONWriter {
  /// A member of the object being written; nothing for nil.
  mutating func member(_ name: String, _ value: String?) {
    guard let value else { return }
    key(name)
    string(value)
  }

  mutating func member(_ name: String, _ value: Int64?) {
    guard let value else { return }
    key(name)
    integer(value)
  }

  mutating func member(_ name: String, _ values: [String]) {
    key(name)
    openArray()
    for value in values { string(value) }
    closeArray()
  }
}
