import Foundation
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Testing

@testable import ProvisionerBackend

/// Jobs of backups and restores that do not come to their end.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveJobFailureTests {
  @Test func aDatabaseThatRefusesTheJob() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(engine: .medusa, objects: objects) { _, parts in
      try await parts.rollOut()
      let backup = try await parts.backUp()
      try await parts.sql("ALTER ROLE CURRENT_USER PASSWORD 'another'")
      let dump = await failure(ProvisionFailure.self) { try await parts.backUp() }
      #expect(dump?.code == .dumpFailed, "\(dump as Any)")
      let load = await failure(ProvisionFailure.self) { try await parts.restore(backup) }
      #expect(load?.code == .loadFailed, "\(load as Any)")
      for failure in [dump, load] {
        #expect(failure?.detail.contains("password authentication failed") == true)
      }
      try await parts.expectNothingOfJobs()
    }
  }

  /// What is unpacked before the database refuses lies where the store serves from.
  @Test func aRestoreThatChangedNothingLeavesNothingBehind() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(objects: objects) { _, parts in
      try await parts.rollOut()
      let look = "cd /var/www/html/wp-content && cat a && ls -A | grep storeplane || true"
      _ = try await parts.inPod("echo then >/var/www/html/wp-content/a")
      let backup = try await parts.backUp()
      _ = try await parts.inPod("echo now >/var/www/html/wp-content/a")
      // What is there cannot be written down, so that it could be put back.
      try await parts.sql(
        "CREATE TABLE rows_of (x int); CREATE VIEW broken AS SELECT x FROM rows_of; "
          + "DROP TABLE rows_of")
      let failure = await failure(ProvisionFailure.self) { try await parts.restore(backup) }
      #expect(failure?.code == .loadFailed && failure?.detail.contains("broken") == true)
      #expect(failure?.detail.contains("as it was, and is served again") == true)
      try await parts.follow { try await parts.backend.start(parts.site, after: $0) }
      #expect(try await parts.inPod(look) == "now\n")
      try await parts.sql("DROP VIEW broken")
      try await parts.restore(backup)
      #expect(try await parts.inPod(look) == "then\n")
      try await parts.expectNothingOfJobs()
    }
  }

  @Test func aJobThatSomebodyEnds() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(engine: .medusa, objects: objects) { _, parts in
      try await parts.rollOut()
      let removed = try await interrupted(parts) { job in
        try await parts.kubernetes.delete(
          .jobs, namespace: job.namespace, name: job.name, deadline: .soon)
      }
      #expect(removed?.code == .jobInterrupted, "\(removed as Any)")
      // Sooner than two containers are done, one after the other.
      let late = try await interrupted(parts) { job in
        try await parts.kubernetes.merge(
          .jobs, namespace: job.namespace, name: job.name, ["spec": ["activeDeadlineSeconds": 1]],
          deadline: .soon)
      }
      #expect(late?.code == .jobTimedOut, "\(late as Any)")
      try await parts.expectNothingOfJobs()
      #expect(try objects.server.ask("names") == "")
    }
  }

  /// How a backup ends whose job has `change` happen to it as it begins.
  private func interrupted(
    _ parts: LiveStores.Parts, by change: (KubernetesObject) async throws -> Void
  ) async throws -> ProvisionFailure? {
    let site = parts.site(operation: UUID().uuidString.lowercased(), backup: parts.newBackup())
    var last = try await parts.backend.backUp(site, after: nil)
    try await change(try #require(try await parts.jobs().first))
    return await failure(ProvisionFailure.self) {
      while !last.isDone { last = try await parts.backend.backUp(site, after: last) }
    }
  }
}
