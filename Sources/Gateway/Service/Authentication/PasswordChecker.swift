package import Cryptography
package import Reactor

/// Checks passwords on threads of their own. For a user that does not exist a hash of no password is
/// checked, so that the time does not tell.
package struct PasswordChecker: Sendable {
  private let threads: BlockingPool
  private let parameters: PasswordHashParameters
  private let decoy: String

  package init(
    threads: BlockingPool, parameters: PasswordHashParameters = .recommended
  ) throws(PasswordHashError) {
    self.threads = threads
    self.parameters = parameters
    decoy = try PasswordHash.decoy(parameters: parameters)
  }

  /// - Parameter stored: nil for a user that does not exist, whose password is never right.
  /// - Throws: `BlockingPoolFull`, or `PasswordHashError` for a stored hash that cannot be read.
  package func isRight(_ password: String, stored: String?) async throws -> Bool {
    let hash = stored ?? decoy
    let isRight = try await threads.run { try PasswordHash.verify(password, against: hash) }
    return isRight && stored != nil
  }

  package func hash(_ password: String) async throws -> String {
    let parameters = parameters
    return try await threads.run { try PasswordHash.hash(password, parameters: parameters) }
  }
}
