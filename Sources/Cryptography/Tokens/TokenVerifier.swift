import JSON

/// Verifies signed tokens of one kind: JWT (RFC 7519) in JWS compact form (RFC 7515), after the
/// advice of RFC 8725.
package struct TokenVerifier: Sendable {
  /// Bytes of a whole token. Headers of 8 KB and more are refused by common proxies anyway.
  package static let tokenLengthMax = 8 << 10

  package let rules: TokenRules
  private let keys: TokenKeySet

  package init(rules: TokenRules, keys: TokenKeySet) {
    self.rules = rules
    self.keys = keys
  }

  /// What `token` says, if all of it holds at `now` (seconds since 1970).
  package func verify(_ token: String, now: Int64) throws(TokenError) -> TokenClaims {
    var token = token
    let result = token.withUTF8 { bytes in
      Result { () throws(TokenError) in try verify(bytes, now: now) }
    }
    return try result.get()
  }

  package func verify(
    _ token: UnsafeBufferPointer<UInt8>, now: Int64
  ) throws(TokenError) -> TokenClaims {
    let parts = try CompactToken(token)
    let header = TokenHeader(try parts.json(.header))
    let algorithm = try header.algorithm()
    try header.check(type: rules.type)
    let key = try keys.key(header.keyID())
    guard algorithm == key.algorithm else {
      throw .algorithmNotAllowed(expected: key.algorithm)
    }
    let signature = try parts.bytes(.signature)
    guard key.isValid(signature, for: UnsafeRawBufferPointer(parts.signingInput)) else {
      throw .wrongSignature
    }
    let claims = try TokenClaims(parts.json(.payload))
    try rules.check(claims, now: now)
    return claims
  }
}

/// The three parts of a token, in its own memory.
private struct CompactToken {
  private typealias Part = Slice<UnsafeBufferPointer<UInt8>>

  private let token: UnsafeBufferPointer<UInt8>
  private let firstDot: Int
  private let secondDot: Int

  init(_ token: UnsafeBufferPointer<UInt8>) throws(TokenError) {
    guard !token.isEmpty else { throw .empty }
    guard token.count <= TokenVerifier.tokenLengthMax else {
      throw .tooLong(length: token.count, maximum: TokenVerifier.tokenLengthMax)
    }
    let dot = UInt8(ascii: ".")
    guard let firstDot = token.firstIndex(of: dot), let secondDot = token.lastIndex(of: dot),
      secondDot > firstDot, !token[(firstDot + 1)..<secondDot].contains(dot)
    else {
      throw .wrongPartCount(token.count { $0 == dot } + 1)
    }
    self.token = token
    self.firstDot = firstDot
    self.secondDot = secondDot
  }

  var signingInput: UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: token[..<secondDot])
  }

  private func slice(_ part: TokenError.Part) -> Part {
    switch part {
    case .header: token[..<firstDot]
    case .payload: token[(firstDot + 1)..<secondDot]
    case .signature: token[(secondDot + 1)...]
    }
  }

  func bytes(_ part: TokenError.Part) throws(TokenError) -> [UInt8] {
    do {
      return try Base64.url.decode(slice(part))
    } catch {
      throw .malformed(part, .base64(error))
    }
  }

  func json(_ part: TokenError.Part) throws(TokenError) -> JSONObject {
    let bytes = try bytes(part)
    do throws(TokenError.Fault) {
      return try BoundedJSON.object(bytes)
    } catch {
      throw .malformed(part, error)
    }
  }
}

/// The header parameters that are looked at. Those that point to keys (`jku`, `jwk`, `x5u`) are
/// ignored: keys are found by `kid` among our own.
private struct TokenHeader {
  private static let keyIDLengthMax = 128

  private let object: JSONObject

  init(_ object: JSONObject) {
    self.object = object
  }

  func check(type expected: String) throws(TokenError) {
    guard object["crit"] == nil else { throw .criticalExtension }
    guard case .string(let type) = object["typ"] else { throw .wrongType(expected: expected) }
    guard Self.canonical(type) == Self.canonical(expected) else {
      throw .wrongType(expected: expected)
    }
  }

  /// Media types ignore case, and `application/` may be left out (RFC 7515, section 4.1.9).
  private static func canonical(_ type: String) -> Substring {
    let type = type.lowercased()
    let prefix = "application/"
    return type.hasPrefix(prefix) ? type.dropFirst(prefix.count) : type[...]
  }

  func keyID() throws(TokenError) -> String? {
    switch object["kid"] {
    case nil: return nil
    case .string(let identifier) where identifier.utf8.count <= Self.keyIDLengthMax:
      return identifier
    default:
      throw .malformedHeader("kid", expected: "a text of at most \(Self.keyIDLengthMax) bytes")
    }
  }

  /// The algorithm that the token claims, for comparison with its key's.
  func algorithm() throws(TokenError) -> String {
    guard case .string(let algorithm) = object["alg"] else {
      throw .malformedHeader("alg", expected: "a text")
    }
    guard algorithm.lowercased() != "none" else { throw .algorithmNone }
    return algorithm
  }
}
