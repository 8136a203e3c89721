import Contracts
import Cryptography
import Logging
import Postgres
import RPCCore
import Reactor
import Resilience
import ServiceRuntime

/// Signs people in: passwords, sessions, and the tokens that come of them.
final class SignInService {
  private let users: UserStore
  private let sessions: SessionStore
  private let passwords: PasswordChecker
  private let limits: RateLimits
  private let issuer: TokenIssuer
  private let events: AuditEventSource
  private let time: any TimeSource
  private let databaseTimeout: Duration

  init(
    users: UserStore, sessions: SessionStore, passwords: PasswordChecker, limits: RateLimits,
    keys: GatewayKeys, time: any TimeSource, databaseTimeout: Duration
  ) {
    self.users = users
    self.sessions = sessions
    self.passwords = passwords
    self.limits = limits
    issuer = TokenIssuer(rules: AccessTokens.rules, key: keys.access)
    events = AuditEventSource(service: .gateway, time: time)
    self.time = time
    self.databaseTimeout = databaseTimeout
  }

  // MARK: Login

  func login(
    _ request: GatewayV1.LoginRequest, from client: ClientOrigin, deadline: Instant
  ) async throws -> GatewayV1.LoginResponse {
    if request.username.isEmpty {
      throw RPCError.invalidArgument(field: "username", description: "give the user's name")
    }
    if request.password.isEmpty {
      throw RPCError.invalidArgument(field: "password", description: "give the password")
    }
    guard request.password.utf8.count <= PasswordHash.passwordLengthMax else {
      throw RPCError.invalidArgument(
        field: "password",
        description: "has more than \(PasswordHash.passwordLengthMax) bytes")
    }
    let name = Username(request.username)
    // What is no username has a count of its own, whatever it is: names are not made up by clients.
    let counted = name?.text ?? "?"
    if let wait = limits.beginLogin(username: counted, address: client.key) {
      throw RPCError.tooManyLogins(retryAfter: wait)
    }
    var failed = true
    defer { limits.endLogin(username: counted, address: client.key, failed: failed) }
    let user: User
    do {
      user = try await verified(name, request.password, deadline: deadline)
    } catch {
      // Only a wrong password counts; not that the database is away.
      failed = (error as? RPCError)?.code == .unauthenticated
      throw error
    }
    failed = false
    return try await begin(user, client, deadline: deadline)
  }

  private func verified(
    _ name: Username?, _ password: String, deadline: Instant
  ) async throws -> User {
    var credentials: UserStore.Credentials?
    if let name { credentials = try await users.credentials(of: name, deadline: soon(deadline)) }
    let isRight = try await passwords.isRight(password, stored: credentials?.passwordHash)
    guard isRight, let user = credentials?.user else {
      throw RPCError(
        .unauthenticated, reason: "WRONG_CREDENTIALS", "the username or the password is wrong")
    }
    return user
  }

  private func begin(
    _ user: User, _ client: ClientOrigin, deadline: Instant
  ) async throws -> GatewayV1.LoginResponse {
    let session = PostgresUUID.random()
    let refresh = RefreshToken.random()
    let expiry = try await sessions.begin(
      session: session, user: user, tokenHash: refresh.hash,
      event: event("session.begin", user, client, session: session.description),
      deadline: soon(deadline))
    return GatewayV1.LoginResponse(
      tokens: try tokens(user, session: session.description, refresh, until: expiry),
      principal: GatewayV1.Principal(user))
  }

  // MARK: Refresh

  func refresh(
    _ request: GatewayV1.RefreshRequest, from client: ClientOrigin, deadline: Instant
  ) async throws -> GatewayV1.RefreshResponse {
    if request.refreshToken.isEmpty {
      throw RPCError.invalidArgument(
        field: "refresh_token", description: "give the refresh token of the last pair")
    }
    guard let old = RefreshToken(received: request.refreshToken) else { throw RPCError.noSession }
    let new = RefreshToken.random()
    switch try await sessions.rotate(old: old.hash, new: new.hash, deadline: soon(deadline)) {
    case .rotated(let session, let user, let expiry):
      return GatewayV1.RefreshResponse(
        tokens: try tokens(user, session: session, new, until: expiry))
    case .unknown: throw RPCError.noSession
    case .expired(let time):
      let seconds = time.microseconds / 1_000_000
      throw RPCError(
        .unauthenticated, reason: "SESSION_EXPIRED",
        "the refresh token expired at \(Timestamp.text(seconds)); sign in again")
    case .ended:
      throw RPCError(
        .unauthenticated, reason: "SESSION_ENDED", "the session was ended; sign in again")
    case .limited(let wait): throw RPCError.tooManyRefreshes(retryAfter: wait)
    case .reused(let session, let user):
      let reason = "refresh token reused"
      try await sessions.end(
        session: session, of: user, reason: reason,
        event: event("session.end", user, client, session: session, reason: reason),
        deadline: soon(deadline))
      throw RPCError(
        .unauthenticated, reason: "REFRESH_TOKEN_REUSED",
        "the refresh token had been used before; its session is ended, in case it was stolen: "
          + "sign in again")
    }
  }

  // MARK: The caller

  func me(_ caller: SignedIn, deadline: Instant) async throws -> GatewayV1.Principal {
    let subject = caller.principal.subject
    guard let user = try await users.user(id: subject, deadline: soon(deadline)) else {
      throw RPCError(
        .unauthenticated, reason: "NO_SUCH_USER", "the token's user does not exist any more")
    }
    // What the caller may do now is what its token says, also where the user has changed since.
    return GatewayV1.Principal(
      id: user.id, username: user.username, displayName: user.displayName,
      tenant: caller.principal.tenant ?? "",
      roles: caller.principal.roles.compactMap(UserRole.init(rawValue:)).map(\.contract))
  }

  // MARK: Parts

  private func tokens(
    _ user: User, session: String, _ refresh: RefreshToken, until expiry: PostgresTimestamp
  ) throws -> GatewayV1.TokenPair {
    let principal = TokenPrincipal(
      subject: user.id, tenant: user.tenant, roles: user.roles.map(\.rawValue), session: session)
    let access = try issuer.issue(
      for: principal, now: time.wallNow.seconds, lifetimeSeconds: AccessTokens.lifetimeSeconds)
    return GatewayV1.TokenPair(
      accessToken: access.token,
      accessTokenExpireTime: GoogleProtobuf.Timestamp(seconds: access.claims.expiresAt),
      refreshToken: refresh.text,
      refreshTokenExpireTime: GoogleProtobuf.Timestamp(
        microsecondsSince1970: expiry.microseconds))
  }

  private func event(
    _ action: String, _ user: User, _ client: ClientOrigin, session: String, reason: String? = nil
  ) -> AuditV1.Event? {
    guard let tenant = user.tenant else { return nil }
    var event = events.event(
      action, tenant: tenant,
      actor: AuditV1.Actor(kind: .user, id: user.id, address: client.address))
    var details: GoogleProtobuf.Struct = [
      "session": GoogleProtobuf.Value(session), "username": GoogleProtobuf.Value(user.username),
    ]
    if let reason { details["reason"] = GoogleProtobuf.Value(reason) }
    event.details = details
    return event
  }

  private func soon(_ deadline: Instant) -> Instant {
    min(deadline, .now() + databaseTimeout)
  }
}

extension RPCError {
  fileprivate static let noSession = RPCError(
    .unauthenticated, reason: "NO_SUCH_SESSION", "the refresh token is not known; sign in again")

  fileprivate static func tooManyRefreshes(retryAfter wait: Duration) -> RPCError {
    let retry = GoogleRPC.RetryInfo(retryDelay: GoogleProtobuf.Duration(wait))
    return RPCError(
      .resourceExhausted, reason: "TOO_MANY_REFRESHES",
      "this session's token was exchanged \(SessionStore.rotationsPerHourMax) times within an hour "
        + "(rotationsPerHourMax); use an access token until it expires; the refresh token is "
        + "still good: wait \(wait.wholeSecondsUp) s, or sign in again",
      details: [GoogleProtobuf.AnyMessage(packing: retry)])
  }

  fileprivate static func tooManyLogins(retryAfter wait: Duration) -> RPCError {
    let retry = GoogleRPC.RetryInfo(retryDelay: GoogleProtobuf.Duration(wait))
    return RPCError(
      .resourceExhausted, reason: "TOO_MANY_FAILED_LOGINS",
      "too many failed logins for this username or from this address; wait "
        + "\(wait.wholeSecondsUp) s",
      details: [GoogleProtobuf.AnyMessage(packing: retry)])
  }
}

extension GatewayV1.Principal {
  fileprivate init(_ user: User) {
    self.init(
      id: user.id, username: user.username, displayName: user.displayName,
      tenant: user.tenant ?? "", roles: user.roles.map(\.contract))
  }
}

extension UserRole {
  fileprivate var contract: GatewayV1.Role {
    switch self {
    case .member: .member
    case .admin: .admin
    }
  }
}
