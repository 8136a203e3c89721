import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// Stores that run on Medusa's stand-in.
extension LiveBackendTests {
  @Test func aMedusaWhoseSetUpIsCutOffGoesOnAndNoSecretIsLeftLying() async throws {
    try await LiveStores.withBackend(title: "Bob's <Tea> & \\Cups", engine: .medusa) {
      reactor, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await parts.rollOut()
      for delay in [100, 250, 400, 600] as [Int64] {
        let setUp = reactor.loop.spawn(on: reactor) { try? await backend.setUp(site) }
        reactor.loop.schedule(after: .milliseconds(delay)) { setUp.cancel() }
        await setUp.value
        await backend.abandon(site, isLate: false)
        let left = """
          ls /tmp/storeplane-setup.pid 2>&1 | grep -c cannot
          cat /proc/[0-9]*/cmdline | grep -ac '[s]toreplane-setup' || true
          """
        #expect(try await parts.inPod(left) == "1\n0\n")
      }
      try await backend.setUp(site)
      try await backend.verify(site)
      try await backend.check(site)
      // Again, as after a crash that came before the step was written down.
      try await backend.setUp(site)
      try await backend.verify(site)
      let counts = ["user", "auth_identity", "provider_identity", "store"]
      for table in counts { #expect(try await count(parts, table) == "1\n") }
      try await parts.expectNoSecretLying(
        in: "/tmp /server/src", whileRunning: ["medusa start", "medusa exec"], on: reactor)
    }
  }

  private func count(_ parts: LiveStores.Parts, _ table: String) async throws -> String {
    try await parts.inPod(
      """
      node <<'END'
      const { Client } = require('pg')
      const client = new Client(process.env.DATABASE_URL)
      client.connect().then(async () => {
        console.log((await client.query('SELECT count(*) FROM "\(table)"')).rows[0].count)
        await client.end()
      })
      END
      """)
  }

  @Test func aMedusaWhoseImageNobodyNamed() async throws {
    try await LiveStores.withBackend(
      values: try #require((["medusa": ["image": ["repository": ""]]] as JSON).object),
      engine: .medusa
    ) { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(parts.site)
      }
      #expect(failure?.code == .chartInvalid, "\(failure?.detail ?? "")")
      #expect(failure?.detail.contains("medusa.image.repository") == true)
    }
  }
}
