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
    await backend.abandon(site, isLate: false)
    // Each call twice, and the whole twice.
    try await provision(times: 2)
    try await provision(times: 1)
    await backend.abandon(site, isLate: true)
    try await changeAndGoBack()
    try await remove()
    try await remove()
    // Nothing of the first life stands in the way of a second.
    try await provision(times: 1)
    try await remove()
  }

  private func provision(times: Int) async throws {
    try await twice("ensureNamespace", times) { try await backend.ensureNamespace(site) }
    try await twice("applyCredentials", times) { try await backend.applyCredentials(site) }
    try await twice("installRelease", times) { _ = try await backend.installRelease(site) }
    try await rollOut(times)
    try await twice("setUp", times) { try await backend.setUp(site) }
    try await twice("verify", times) { try await backend.verify(site) }
  }

  /// Suspended and brought back, each call twice; and back to what there is no record of.
  private func changeAndGoBack() async throws {
    let running = try await backend.installRelease(site)
    try await rollOut(1)
    let suspended = site.copy(isSuspended: true)
    try await twice("installRelease", 2) {
      let installed = try await backend.installRelease(suspended)
      guard installed.revision > running.revision, installed.chart == running.chart else {
        throw Violation(description: "\(installed) came after \(running)")
      }
    }
    try await rollOut(2)
    let back = site.copy(helmRevision: running.revision)
    try await twice("rollBackRelease", 2) {
      let installed = try await backend.rollBackRelease(back)
      guard installed.revision > running.revision, installed.chart == running.chart else {
        throw Violation(description: "\(installed) is a rollback to \(running)")
      }
    }
    try await rollOut(2)
    try await twice("check", 2) { try await backend.check(site) }
    for revision in [nil, running.revision + 1_000] {
      do {
        _ = try await backend.rollBackRelease(site.copy(helmRevision: revision))
        throw Violation(description: "a rollback to revision \(revision ?? 0), which is not there")
      } catch let failure as ProvisionFailure {
        guard failure.code == .releaseGone else {
          throw Violation(description: "a rollback to no revision: \(failure)")
        }
      }
    }
  }

  private func rollOut(_ times: Int) async throws {
    try await twice("rolloutStatus", times) {
      try await follow { previous throws(ProvisionFailure) in
        try await backend.rolloutStatus(of: site, after: previous)
      }
    }
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

extension StoreSite {
  fileprivate func copy(isSuspended: Bool = false, helmRevision: Int? = nil) -> StoreSite {
    StoreSite(
      store: store, tenant: tenant, name: name, engine: engine, cluster: cluster,
      namespace: namespace, host: host, parameters: parameters, isSuspended: isSuspended,
      helmRevision: helmRevision, fence: fence, releasedAt: releasedAt)
  }
}
