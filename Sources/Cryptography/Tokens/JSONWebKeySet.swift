import JSON

/// A set of public P-256 keys as JSON (RFC 7517), as `/.well-known/jwks.json` shows it.
package struct JSONWebKeySet: Sendable {
  package static let textLengthMax = 64 << 10
  package static let keyCountMax = TokenKeySet.keyCountMax

  package struct Key: Sendable {
    package let identifier: String
    package let publicKey: P256PublicKey
  }

  package let keys: [Key]

  /// Each key is named by its thumbprint.
  package init(_ keys: [P256PublicKey]) throws(JSONWebKeySetError) {
    try Self.check(count: keys.count)
    self.keys = keys.map { Key(identifier: $0.thumbprint, publicKey: $0) }
  }

  package var encoded: String {
    var json = JSONWriter()
    json.openObject()
    json.key("keys")
    json.openArray()
    for key in keys {
      json.openObject()
      json.member("kty", "EC")
      json.member("crv", "P-256")
      json.member("use", "sig")
      json.member("alg", "ES256")
      json.member("kid", key.identifier)
      json.member("x", Base64.url.encode(key.publicKey.x))
      json.member("y", Base64.url.encode(key.publicKey.y))
      json.closeObject()
    }
    json.closeArray()
    json.closeObject()
    return json.text
  }

  /// Reads a set. Keys of other kinds or uses are passed over, as RFC 7517 asks; a P-256 key that
  /// is wrong in itself is an error.
  package init(parsing text: String) throws(JSONWebKeySetError) {
    guard text.utf8.count <= Self.textLengthMax else {
      throw .tooLong(length: text.utf8.count, maximum: Self.textLengthMax)
    }
    let object: JSONObject
    do throws(TokenError.Fault) {
      object = try BoundedJSON.object([UInt8](text.utf8))
    } catch {
      throw .malformed(error)
    }
    guard case .array(let values) = object["keys"] else { throw .noKeys }
    try Self.check(count: values.count)
    var keys: [Key] = []
    for (index, value) in values.enumerated() {
      guard case .object(let member) = value else {
        throw .wrongKey(index: index, reason: "it is not an object")
      }
      guard let key = try Self.key(member, index: index) else { continue }
      guard !keys.contains(where: { $0.identifier == key.identifier }) else {
        throw .wrongKey(index: index, reason: "its kid occurs twice")
      }
      keys.append(key)
    }
    self.keys = keys
  }

  package func tokenKeySet() throws(TokenKeySetError) -> TokenKeySet {
    let named = keys.map { ($0.identifier, TokenVerificationKey.es256($0.publicKey)) }
    return try TokenKeySet(named: Dictionary(named) { first, _ in first })
  }

  private static func check(count: Int) throws(JSONWebKeySetError) {
    guard count <= keyCountMax else { throw .tooManyKeys(count: count, maximum: keyCountMax) }
  }

  private static func key(
    _ member: JSONObject, index: Int
  ) throws(JSONWebKeySetError) -> Key? {
    guard member["kty"] == .string("EC"), member["crv"] == .string("P-256"),
      [nil, .string("sig")].contains(member["use"]),
      [nil, .string("ES256")].contains(member["alg"])
    else { return nil }
    guard member["d"] == nil else {
      throw .wrongKey(index: index, reason: "it is a private key (d); it must be replaced")
    }
    let x = try coordinate("x", of: member, index: index)
    let y = try coordinate("y", of: member, index: index)
    let publicKey: P256PublicKey
    do {
      publicKey = try P256PublicKey(x: x, y: y)
    } catch {
      throw .wrongKey(index: index, reason: error.description)
    }
    switch member["kid"] {
    case nil: return Key(identifier: publicKey.thumbprint, publicKey: publicKey)
    case .string(let identifier): return Key(identifier: identifier, publicKey: publicKey)
    default: throw .wrongKey(index: index, reason: "its kid is not a text")
    }
  }

  private static func coordinate(
    _ name: String, of member: JSONObject, index: Int
  ) throws(JSONWebKeySetError) -> [UInt8] {
    guard case .string(let text) = member[name] else {
      throw .wrongKey(index: index, reason: "its \(name) is not a text")
    }
    do {
      return try Base64.url.decode(text)
    } catch {
      throw .wrongKey(index: index, reason: "its \(name): \(error)")
    }
  }
}

package enum JSONWebKeySetError: Error, Equatable, CustomStringConvertible {
  case tooLong(length: Int, maximum: Int)
  case malformed(TokenError.Fault)
  case noKeys
  case tooManyKeys(count: Int, maximum: Int)
  case wrongKey(index: Int, reason: String)

  package var description: String {
    switch self {
    case .tooLong(let length, let maximum):
      "the key set has \(length) bytes; at most \(maximum) are allowed"
    case .malformed(let fault): "the key set \(fault)"
    case .noKeys: "the key set has no array \"keys\""
    case .tooManyKeys(let count, let maximum):
      "the key set has \(count) keys; at most \(maximum) are allowed"
    case .wrongKey(let index, let reason): "key \(index + 1) of the key set: \(reason)"
    }
  }
}
