import JSON

/// Where access tokens come from: `STOREPLANE_TOKEN`, or the login, which is refreshed when its
/// access token ends. A refresh token works once, so that of two processes one refreshes and the
/// other takes what came of it.
struct Session: Sendable {
  let address: GatewayAddress
  let file: CredentialsFile
  /// A token of the user's own; never refreshed.
  let givenToken: String?
  let warn: @Sendable (String) -> Void

  /// The token to send. A new one where the login's has ended or is `rejected` by the gateway.
  ///
  /// - Parameter exchange: gives the refresh token to the gateway and returns its answer.
  func accessToken(
    rejected: String? = nil, exchange: (_ refreshToken: String) async throws -> JSON
  ) async throws -> String {
    if let givenToken { return givenToken }
    let current = try load(warn: warn)
    if !mustRefresh(current, rejected) { return current.accessToken }
    return try await file.locked {
      try await Interruption.shared.finishing {
        let latest = try load { _ in }
        if !mustRefresh(latest, rejected) { return latest.accessToken }
        return try await refreshed(latest, exchange).accessToken
      }
    }
  }

  private func mustRefresh(_ credentials: Credentials, _ rejected: String?) -> Bool {
    credentials.accessToken == rejected || credentials.isExpiring(now: .now)
  }

  private func load(warn: (String) -> Void) throws(CommandFailure) -> Credentials {
    guard let credentials = try file.read(warn: warn) else {
      throw CommandFailure(.denied, "not signed in: storectl login --address \(address)")
    }
    // A token is for the gateway that gave it.
    guard credentials.address == address.text else {
      throw CommandFailure(
        .denied,
        "signed in at \(credentials.address), not at \(address): storectl login --address \(address)"
      )
    }
    return credentials
  }

  private func refreshed(
    _ old: Credentials, _ exchange: (_ refreshToken: String) async throws -> JSON
  ) async throws -> Credentials {
    let answer: JSON
    do {
      answer = try await exchange(old.refreshToken)
    } catch let problem as GatewayProblem where problem.status == 401 {
      throw CommandFailure(
        .denied, "\(problem.detail)\nSign in: storectl login --username \(old.username)")
    }
    guard
      let new = Credentials(
        tokens: answer.object?["tokens"], address: old.address, username: old.username)
    else {
      throw CommandFailure(.failed, "the gateway's answer to a refresh has no tokens")
    }
    try file.write(new)
    return new
  }
}
