package import ProvisionerService

/// What every `StoreBackend` must do: run against the fake one and against the real one.
///
/// The site must be a store's of the backend's cluster that is not there yet; it is gone afterwards.
package struct StoreBackendConformance {
  package struct Violation: Error, CustomStringConvertible {
    package let description: String
  }

  private let backend: any StoreBackend
  private let site: StoreSite

  package init(_ backend: any StoreBackend, site: StoreSite) {
    self.backend = backend
    self.site = site
  }

  /// Throws the first rule that is broken.
  package func check() async throws {
    // What is not there is gone already.
    try await remove()
    await backend.abandon(site)
    // Each call twice, and the whole twice.
    try await provision(times: 2)
    try await provision(times: 1)
    await backend.abandon(site)
    try await remove()
    try await remove()
    // Nothing of the first life stands in the way of a second.
    try await provision(times: 1)
    try await remove()
  }

  private func provision(times: Int) async throws {
    try await twice("ensureNamespace", times) { try await backend.ensureNamespace(site) }
    try await twice("applyCredentials", times) { try await backend.applyCredentials(site) }
    try await twice("installRelease", times) { try await backend.installRelease(site) }
    try await twice("rolloutStatus", times) {
      try await follow { previous throws(ProvisionFailure) in
        try await backend.rolloutStatus(of: site, after: previous)
      }
    }
    try await twice("setUp", times) { try await backend.setUp(site) }
    try await twice("verify", times) { try await backend.verify(site) }
  }

  private func remove() async throws {
    try await twice("uninstallRelease", 2) { try await backend.uninstallRelease(site) }
    try await twice("deleteNamespace", 2) { try await backend.deleteNamespace(site) }
    try await twice("removalStatus", 2) {
      try await follow { previous throws(ProvisionFailure) in
        try await backend.removalStatus(of: site, after: previous)
      }
    }
    try await twice("forgetCredentials", 2) { try await backend.forgetCredentials(site) }
  }

  private func twice(_ name: String, _ times: Int, _ call: () async throws -> Void) async throws {
    for time in 1...times {
      do {
        try await call()
      } catch {
        throw Violation(description: "\(name), time \(time): \(error)")
      }
    }
  }

  private func follow(
    _ status: (BackendProgress?) async throws(ProvisionFailure) -> BackendProgress
  ) async throws {
    var last: BackendProgress?
    while true {
      let progress = try await status(last)
      guard (0...1).contains(progress.fraction) else {
        throw Violation(description: "a fraction of \(progress.fraction)")
      }
      if progress.isDone { return }
      guard progress != last else {
        throw Violation(description: "'\(progress.detail)' was reported twice in a row")
      }
      last = progress
    }
  }
}
