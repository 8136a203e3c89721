import JSON

/// What a login leaves behind: the tokens of one session, and where they are good.
struct Credentials: Equatable, Sendable {
  var address: String
  var username: String
  var accessToken: String
  /// As the gateway told it, RFC 3339.
  var accessTokenExpireTime: String
  var refreshToken: String
  var refreshTokenExpireTime: String

  /// From the `tokens` of an answer of the gateway's.
  init?(tokens: JSON?, address: String, username: String) {
    guard let tokens = tokens?.object, let access = tokens["accessToken"]?.string,
      let refresh = tokens["refreshToken"]?.string
    else { return nil }
    self.address = address
    self.username = username
    accessToken = access
    accessTokenExpireTime = tokens["accessTokenExpireTime"]?.string ?? ""
    refreshToken = refresh
    refreshTokenExpireTime = tokens["refreshTokenExpireTime"]?.string ?? ""
  }

  /// From the file.
  init?(_ document: JSON) {
    guard let object = document.object, let address = object["address"]?.string,
      let username = object["username"]?.string
    else { return nil }
    self.init(tokens: document, address: address, username: username)
  }

  var document: JSON {
    [
      "address": .string(address), "username": .string(username),
      "accessToken": .string(accessToken),
      "accessTokenExpireTime": .string(accessTokenExpireTime),
      "refreshToken": .string(refreshToken),
      "refreshTokenExpireTime": .string(refreshTokenExpireTime),
    ]
  }

  /// Whether the access token has less than a while left, by this machine's clock. Where that is
  /// wrong the gateway says so.
  func isExpiring(now: WallTime) -> Bool {
    guard let end = WallTime(accessTokenExpireTime) else { return false }
    return end.seconds < now.seconds + 30
  }
}
