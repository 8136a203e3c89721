/// Why a token was refused. Nothing of the token is repeated but its times, which are numbers.
package enum TokenError: Error, Equatable, CustomStringConvertible {
  package enum Part: String, Sendable { case header, payload, signature }

  package enum Fault: Error, Equatable {
    case base64(Base64Error)
    case notJSON(offset: Int)
    case notAnObject
    case duplicateMember
    case tooDeep(maximum: Int)
    case tooManyMembers(maximum: Int)
    case tooManyValues(maximum: Int)
  }

  case empty
  case tooLong(length: Int, maximum: Int)
  /// A signed token has three parts between dots.
  case wrongPartCount(Int)
  case malformed(Part, Fault)
  case malformedHeader(String, expected: String)
  case algorithmNone
  case algorithmNotAllowed(expected: String)
  case missingKeyID
  case unknownKeyID
  case wrongType(expected: String)
  case criticalExtension
  case wrongSignature
  case missingClaim(String)
  case malformedClaim(String, expected: String)
  case wrongIssuer(expected: String)
  case wrongAudience(expected: String)
  case lifetimeTooLong(seconds: Int64, maximum: Int64)
  case expired(at: Int64)
  case notYetValid(until: Int64)
  case issuedInTheFuture(at: Int64)

  package var description: String {
    switch self {
    case .empty: "the token is empty"
    case .tooLong(let length, let maximum):
      "the token has \(length) bytes; at most \(maximum) are allowed"
    case .wrongPartCount(5): "the token is encrypted; signed tokens only are accepted"
    case .wrongPartCount(let count):
      "the token has \(count) parts between dots; a signed token has 3"
    case .malformed(let part, let fault): "the token's \(part.rawValue) \(fault)"
    case .malformedHeader(let name, let expected):
      "the token's header parameter \(name) is not \(expected)"
    case .algorithmNone: "the token is not signed (algorithm none)"
    case .algorithmNotAllowed(let expected):
      "the token's algorithm is not its key's, which is \(expected)"
    case .missingKeyID: "the token names no key (kid)"
    case .unknownKeyID: "the token names a key (kid) that is not known here"
    case .wrongType(let expected): "the token's type (typ) is not \(expected)"
    case .criticalExtension: "the token needs an extension (crit); none is understood"
    case .wrongSignature: "the token's signature is not its key's"
    default: claimDescription
    }
  }

  private var claimDescription: String {
    switch self {
    case .missingClaim(let name): "the token lacks the claim \(name)"
    case .malformedClaim(let name, let expected): "the token's claim \(name) is not \(expected)"
    case .wrongIssuer(let expected): "the token's issuer (iss) is not \(expected)"
    case .wrongAudience(let expected): "the token's audience (aud) does not include \(expected)"
    case .lifetimeTooLong(let seconds, let maximum):
      "the token is valid for \(seconds) s; at most \(maximum) s are allowed"
    case .expired(let time): "the token expired at \(Timestamp.text(time))"
    case .notYetValid(let time): "the token is not valid before \(Timestamp.text(time))"
    case .issuedInTheFuture(let time):
      "the token was issued in the future, at \(Timestamp.text(time)); compare the clocks"
    default: "the token is not valid"
    }
  }
}

extension TokenError.Fault: CustomStringConvertible {
  package var description: String {
    switch self {
    case .base64(let error): "is not base64url: \(error)"
    case .notJSON(let offset): "is not JSON at byte \(offset)"
    case .notAnObject: "is not a JSON object"
    case .duplicateMember: "has a member twice"
    case .tooDeep(let maximum): "is nested deeper than \(maximum)"
    case .tooManyMembers(let maximum): "has an object of more than \(maximum) members"
    case .tooManyValues(let maximum): "has more than \(maximum) values"
    }
  }
}
