import Foundation
import Glibc
import JSON
import Kubernetes
import ProvisionerService
import PythonPeer
import Reactor
import Testing

@testable import ProvisionerBackend

/// Backups of real stores, and what is made from them.
extension LiveBackendTests {
  @Test func aMedusaIsBackedUpAndBroughtBackAndAnotherIsMadeOfIt() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(title: "Tea", engine: .medusa, objects: objects) {
      _, parts in
      try await parts.rollOut()
      try await parts.backend.setUp(parts.site)
      try await parts.sql(
        "CREATE TABLE orders (name text); INSERT INTO orders VALUES ('first'); "
          + "CREATE SCHEMA extra; CREATE TABLE extra.notes AS SELECT 1 AS x")
      let backup = try await parts.backUp()
      try await parts.sql(
        "UPDATE orders SET name = 'second'; CREATE TABLE later (x int); DROP SCHEMA extra CASCADE")
      try await parts.restore(backup)
      let rows = "SELECT name FROM orders; SELECT x FROM extra.notes; SELECT to_regclass('later')"
      #expect(try await parts.sql(rows) == "first\n1\n\n")
      try await parts.backend.verify(parts.site)
      try await parts.expectNothingOfJobs()
      try await parts.expectRefusal(.backupDamaged, of: backup) {
        _ = try objects.server.ask("damage \(parts.key(backup))")
      }
      #expect(try await parts.sql("SELECT name FROM orders") == "first\n")
      _ = try objects.server.ask("damage \(parts.key(backup))")
      try await LiveStores.withBackend(title: "Cups", engine: .medusa, objects: objects) {
        _, other in
        try await other.rollOut()
        try await other.restore(backup)
        try await other.backend.setUp(other.site)
        try await other.backend.verify(other.site)
        #expect(try await other.sql("SELECT name FROM orders") == "first\n")
      }
    }
  }

  @Test func aWooCommerceIsBackedUpAndBroughtBackWithItsFiles() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(objects: objects) { _, parts in
      try await parts.rollOut()
      try await parts.backend.setUp(parts.site)
      let content = "/var/www/html/wp-content"
      _ = try await parts.inPod("mkdir -p \(content)/uploads; echo then >\(content)/uploads/a")
      try await parts.sql("CREATE TABLE orders (name text); INSERT INTO orders VALUES ('Ä & \\\\')")
      let backup = try await parts.backUp()
      _ = try await parts.inPod("echo now >\(content)/uploads/a; echo new >\(content)/uploads/b")
      try await parts.sql("DELETE FROM orders; CREATE TABLE later (x int)")
      try await parts.restore(backup)
      #expect(
        try await parts.sql("SELECT name FROM orders; SHOW TABLES LIKE 'later'") == "Ä & \\\\\n")
      #expect(try await parts.inPod("cd \(content)/uploads; cat a; ls") == "then\na\n")
      try await parts.backend.verify(parts.site)
      try await parts.expectNothingOfJobs()
      try await parts.expectRefusal(.backupMissing, of: backup) {
        try await parts.backend.removeBackup(backup)
      }
      #expect(try objects.server.ask("names") == "")
    }
  }

  /// In a pod that has nothing of the store but its images.
  @Test(arguments: StoreEngine.allCases)
  func aBackupIsTestedBesideItsStore(_ engine: StoreEngine) async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(engine: engine, objects: objects) { _, parts in
      try await parts.rollOut()
      try await parts.backend.setUp(parts.site)
      try await parts.sql("CREATE TABLE orders (name text); INSERT INTO orders VALUES ('then')")
      let backup = try await parts.backUp()
      try await parts.sql("UPDATE orders SET name = 'now'")
      try await parts.test(backup)
      // The store was not touched, and nothing is left of it.
      #expect(try await parts.sql("SELECT name FROM orders") == "now\n")
      try await parts.expectNothingOfJobs()
      _ = try objects.server.ask("damage \(parts.key(backup))")
      let damaged = await failure(ProvisionFailure.self) { try await parts.test(backup) }
      #expect(damaged?.code == .backupDamaged, "\(damaged as Any)")
      try await parts.backend.removeBackup(backup)
      let missing = await failure(ProvisionFailure.self) { try await parts.test(backup) }
      #expect(missing?.code == .backupMissing, "\(missing as Any)")
      // It loads, but is of nothing that could be a store.
      let table = engine == .medusa ? "mikro_orm_migrations" : "wp_options"
      try await parts.sql("DELETE FROM \(table)")
      let empty = try await parts.backUp()
      let rejected = await failure(ProvisionFailure.self) { try await parts.test(empty) }
      #expect(rejected?.code == .loadFailed, "\(rejected as Any)")
      #expect(rejected?.detail.contains("\(table) is empty") == true, "\(rejected as Any)")
      try await parts.expectNothingOfJobs()
    }
  }

  @Test func anObjectStoreThatRefusesOrIsAway() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(engine: .medusa, objects: objects) { _, parts in
      try await parts.rollOut()
      for (status, reason, code) in [
        (403, "AccessDenied", FailureCode.backupStoreDenied),
        (503, "SlowDown", .backupStoreUnreachable), (507, "InsufficientStorage", .backupNoRoom),
        (413, "EntityTooLarge", .backupTooLarge),
      ] {
        _ = try objects.server.ask("answer \(status) \(reason) PUT")
        let failure = await failure(ProvisionFailure.self) { try await parts.backUp() }
        #expect(failure?.code == code, "\(failure as Any)")
        #expect(failure?.detail == "PUT answered \(status) \(reason)")
        try await parts.expectNothingOfJobs()
      }
      _ = try objects.server.ask("answer 0 - PUT")
      try await parts.backUp()
    }
  }

  /// A holder that dies leaves its job to the next; one that is told to stop ends it.
  @Test func aJobIsTakenOverAndStopped() async throws {
    let objects = try ObjectStorePeer(on: LiveStores.ownAddress())
    try await LiveStores.withBackend(engine: .medusa, objects: objects) { _, parts in
      try await parts.rollOut()
      let site = parts.site(operation: UUID().uuidString.lowercased(), backup: parts.newBackup())
      _ = try await parts.backend.backUp(site, after: nil)
      let first = try await parts.jobs()
      // As another holder, from the beginning.
      try await parts.follow { try await parts.backend.backUp(site, after: $0) }
      #expect(try await parts.jobs().map(\.uid) == first.map(\.uid) && first.count == 1)
      let contents = try await parts.backend.checkBackup(site)
      #expect(contents.bytes > 0)
      try await parts.backend.removeJob(site)
      let second = parts.site(operation: UUID().uuidString.lowercased(), backup: parts.newBackup())
      _ = try await parts.backend.backUp(second, after: nil)
      await parts.backend.abandon(second, isLate: false)
      #expect(try await parts.jobs().allSatisfy(\.isBeingDeleted))
      // Again, while the one before goes away.
      try await parts.follow { try await parts.backend.backUp(second, after: $0) }
      try await parts.backend.removeJob(second)
      try await parts.expectNothingOfJobs()
    }
  }
}

extension LiveStores.Parts {
  func newBackup() -> StoreBackup {
    StoreBackup(id: UUID().uuidString.lowercased(), store: site.store, tenant: site.tenant)
  }

  func key(_ backup: StoreBackup) -> String {
    "\(backup.tenant)/\(backup.store)/\(backup.id).tar.gz"
  }

  func site(operation: String, backup: StoreBackup) -> StoreSite {
    StoreSite(
      store: site.store, tenant: site.tenant, name: site.name, engine: site.engine,
      cluster: site.cluster, namespace: site.namespace, host: site.host,
      parameters: site.parameters, operation: operation, backup: backup, fence: site.fence,
      releasedAt: Int64(time(nil)))
  }

  func follow(_ status: (BackendProgress?) async throws -> BackendProgress) async throws {
    var last: BackendProgress?
    repeat { last = try await status(last) } while last?.isDone == false
  }

  @discardableResult
  func backUp() async throws -> StoreBackup {
    let backup = newBackup()
    let site = site(operation: UUID().uuidString.lowercased(), backup: backup)
    try await follow { try await backend.backUp(site, after: $0) }
    let contents = try await backend.checkBackup(site)
    try await backend.removeJob(site)
    return StoreBackup(
      id: backup.id, store: backup.store, tenant: backup.tenant, contents: contents)
  }

  func restore(_ backup: StoreBackup) async throws {
    let site = site(operation: UUID().uuidString.lowercased(), backup: backup)
    try await follow { try await backend.restore(site, after: $0) }
    try await follow { try await backend.start(site, after: $0) }
    try await backend.removeJob(site)
  }

  func test(_ backup: StoreBackup) async throws {
    let site = site(operation: UUID().uuidString.lowercased(), backup: backup)
    try await follow { try await backend.testBackup(site, after: $0) }
    try await backend.removeJob(site)
  }

  /// That a restore is refused for `code` after `change`, and the store serves as before.
  func expectRefusal(
    _ code: FailureCode, of backup: StoreBackup, after change: () async throws -> Void
  ) async throws {
    try await change()
    let failure = await failure(ProvisionFailure.self) { try await restore(backup) }
    #expect(failure?.code == code, "\(failure as Any)")
    let site = site(operation: UUID().uuidString.lowercased(), backup: backup)
    try await follow { try await backend.rolloutStatus(of: site, after: $0) }
    try await backend.check(site)
    try await expectNothingOfJobs()
  }

  func jobs() async throws -> [KubernetesObject] {
    try await kubernetes.listAll(
      .jobs,
      ObjectSelection(namespace: site.namespace, labelSelector: StoreJob.purposeLabel),
      deadline: .soon
    ).objects
  }

  /// Neither jobs nor what belonged to them.
  func expectNothingOfJobs() async throws {
    let policies = ResourceKind(
      group: "networking.k8s.io", plural: "networkpolicies", kind: "NetworkPolicy")
    for kind in [ResourceKind.jobs, .pods, .secrets, policies] {
      let left = try await kubernetes.listAll(
        kind, ObjectSelection(namespace: site.namespace, labelSelector: StoreJob.purposeLabel),
        deadline: .soon)
      #expect(left.objects.map(\.name) == [], "\(kind)")
    }
  }

  /// What statements give, by the database's own client.
  @discardableResult
  func sql(_ statements: String) async throws -> String {
    let database = site.engine.database.workload
    let client =
      switch site.engine {
      case .medusa:
        "psql --host=/var/run/postgresql --username=\"$POSTGRES_USER\" "
          + "--dbname=\"$POSTGRES_DB\" --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1"
      case .woocommerce:
        """
        export MYSQL_PWD="${MARIADB_PASSWORD:-$(cat "${MARIADB_PASSWORD_FILE:-/dev/null}")}"
        mariadb --host=127.0.0.1 --user="$MARIADB_USER" --batch --skip-column-names \
        --default-character-set=utf8mb4 "$MARIADB_DATABASE"
        """
      }
    let result = try await kubernetes.exec(
      .script(
        "\(client) <<'END_OF_SQL'\n\(statements);\nEND_OF_SQL", namespace: site.namespace,
        pod: "\(database)-0", container: database), deadline: .soon)
    try result.requireSuccess(redacting: [])
    return result.stdoutText
  }
}
