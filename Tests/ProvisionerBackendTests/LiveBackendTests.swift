import Foundation
import JSON
import Kubernetes
import ProvisionerService
import ProvisionerTestKit
import Reactor
import Synchronization
import Testing

@testable import ProvisionerBackend

/// Real stores on a real cluster.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveBackendTests {
  @Test func makesAndRemovesAStoreStepByStep() async throws {
    try await LiveStores.withBackend { _, parts in
      let (backend, site) = (parts.backend, parts.site)
      func timed(_ name: String, _ body: () async throws -> Void) async throws {
        let begin = Instant.now()
        try await body()
        print("step.\(name)_ms: \((Instant.now() - begin).nanosecondsSaturating / 1_000_000)")
      }
      func follow(_ status: (BackendProgress?) async throws -> BackendProgress) async throws {
        var last: BackendProgress?
        repeat {
          last = try await status(last)
          print("  \(last?.detail ?? "")")
        } while last?.isDone == false
      }
      try await timed("namespace") { try await backend.ensureNamespace(site) }
      try await timed("credentials") { try await backend.applyCredentials(site) }
      try await timed("release") { try await backend.installRelease(site) }
      try await timed("rollout") {
        try await follow { try await backend.rolloutStatus(of: site, after: $0) }
      }
      try await timed("setup") { try await backend.setUp(site) }
      try await timed("verify") { try await backend.verify(site) }
      try await timed("uninstall") { try await backend.uninstallRelease(site) }
      try await timed("namespace-removal") { try await backend.deleteNamespace(site) }
      try await timed("gone") {
        try await follow { try await backend.removalStatus(of: site, after: $0) }
      }
      try await timed("credentials-removal") { try await backend.forgetCredentials(site) }
    }
  }

  @Test func aSetUpThatIsCutOffGoesOnAndNoSecretIsLeftLying() async throws {
    try await LiveStores.withBackend(title: "Bob's <Tea> & \\Cups") { reactor, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await parts.rollOut()
      for delay in [300, 700, 1_200, 1_700] as [Int64] {
        let begin = Instant.now()
        let setUp = reactor.loop.spawn(on: reactor) { try? await backend.setUp(site) }
        reactor.loop.schedule(after: .milliseconds(delay)) { setUp.cancel() }
        await setUp.value
        #expect(Instant.now() - begin < .milliseconds(delay + 1_000))
        await backend.abandon(site, isLate: false)
        #expect(Instant.now() - begin < .milliseconds(delay + 3_000))
        #expect(
          try await parts.inPod("ls /tmp/storeplane-setup.pid 2>&1 | grep -c cannot") == "1\n")
      }
      try await backend.setUp(site)
      try await backend.verify(site)
      #expect(try await query(parts, Self.usersAndPages) == "1\n2\n")
      #expect(try await option(parts, "storeplane_activations") == "1")
      try await parts.expectNoSecretLying(
        in: "/tmp /var/www/html", whileRunning: ["apache2", "php "], on: reactor)
    }
  }

  /// Half of an installation would look like a whole one to WordPress.
  @Test func anInstallationWhoseDatabaseGoesIsMadeAnew() async throws {
    try await LiveStores.withBackend { reactor, parts in
      try await parts.rollOut()
      var cuts = 0
      for table in ["options", "users", "terms", "posts"] {
        let cutting = reactor.loop.spawn(on: reactor) {
          _ = try? await parts.inPod(Self.cuttingConnections(whenRowsAreIn: "wp_\(table)"))
        }
        await pause(.seconds(1), on: reactor)
        let failure = await failure(ProvisionFailure.self) {
          try await parts.backend.setUp(parts.site)
        }
        await cutting.value
        // The later the table, the likelier the cut comes after all was written.
        guard let failure else { break }
        #expect(failure.code == .setupInterrupted, "\(failure.detail)")
        cuts += 1
      }
      #expect(cuts > 0)
      try await parts.backend.setUp(parts.site)
      try await parts.backend.verify(parts.site)
      #expect(try await query(parts, Self.usersAndPages) == "1\n2\n")
    }
  }

  private static let usersAndPages =
    "SELECT COUNT(*) FROM wp_users; SELECT COUNT(*) FROM wp_posts WHERE post_type='page'"

  /// Ends every connection to the database once a row is being written to the table, committed or not.
  private static func cuttingConnections(whenRowsAreIn table: String) -> String {
    """
    php -r 'define("SHORTINIT", true); require "/var/www/html/wp-load.php";
    $wpdb->suppress_errors();
    $wpdb->query("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED");
    $end = microtime(true) + 20;
    while (!$wpdb->get_var("SELECT 1 FROM \(table) LIMIT 1") && microtime(true) < $end) usleep(500);
    $others = $wpdb->get_col("SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()");
    foreach ($others as $id) $wpdb->query("KILL $id");'
    """
  }

  private func option(_ parts: LiveStores.Parts, _ name: String) async throws -> String {
    try await query(parts, "SELECT option_value FROM wp_options WHERE option_name='\(name)'")
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }

  private func query(_ parts: LiveStores.Parts, _ sql: String) async throws -> String {
    let program = """
      php -r 'define("SHORTINIT", true); require "/var/www/html/wp-load.php";
      foreach (explode(";", $argv[1]) as $sql) echo $wpdb->get_var($sql), "\\n";' "\(sql)"
      """
    return try await parts.inPod(program)
  }

  /// A query that fails says nothing of what is in a table.
  @Test func aDatabaseThatDoesNotAnswerLosesNoTable() async throws {
    try await LiveStores.withBackend { _, parts in
      try await parts.rollOut()
      // A view of what is gone can be listed, and not be read.
      _ = try await query(
        parts,
        "CREATE TABLE wp_a (id INT); CREATE TABLE wp_b (id INT); "
          + "CREATE VIEW wp_c AS SELECT id FROM wp_b; DROP TABLE wp_b")
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.setUp(parts.site)
      }
      #expect(failure?.code == .setupInterrupted && failure?.code.isRetryable == true)
      #expect(failure?.detail.contains("whether table wp_c has rows") == true)
      #expect(try await query(parts, "SHOW TABLES LIKE 'wp_a'") == "wp_a\n")
      _ = try await query(parts, "DROP VIEW wp_c")
      try await parts.backend.setUp(parts.site)
    }
  }

  @Test func aPluginThatIsNoArchive() async throws {
    try await LiveStores.withBackend(pluginPath: "/broken.zip") { _, parts in
      try await parts.rollOut()
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.setUp(parts.site)
      }
      #expect(failure?.code == .pluginUnavailable && failure?.code.isRetryable == true)
      #expect(failure?.detail.contains("/broken.zip is no archive") == true)
    }
  }

  @Test func aPluginThatThePodDoesNotHave() async throws {
    let plugins: JSON = [
      "wordpress": ["plugins": [["slug": "cups", "source": "file:///nowhere/cups.zip"]]]
    ]
    try await LiveStores.withBackend(values: try #require(plugins.object)) { _, parts in
      try await parts.rollOut()
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.setUp(parts.site)
      }
      #expect(failure?.code == .pluginUnavailable)
      #expect(failure?.detail == "plugin cups: the pod has no file /nowhere/cups.zip")
    }
  }

  @Test func keepsTheRulesOfBackends() async throws {
    try await LiveStores.withBackend { _, parts in
      try await StoreBackendConformance(parts.backend, site: parts.site).check()
    }
  }
}

/// What goes wrong with real stores, and what is said of it.
@Suite(.enabled(if: LiveStores.isThere), .serialized) struct LiveFailureTests {
  @Test func aChartThatCannotBeRendered() async throws {
    try await LiveStores.withBackend(
      values: try #require((["wordpress": ["replicas": "many"]] as JSON).object)
    ) { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.installRelease(parts.site)
      }
      #expect(failure?.code == .chartInvalid && failure?.detail.contains("replicas") == true)
    }
  }

  /// Helm goes where we are, though the file names another context as the current one by now.
  @Test func aContextThatIsSwitchedLater() async throws {
    let path = FileManager.default.temporaryDirectory
      .appendingPathComponent("kubeconfig-\(UUID().uuidString)").path
    let text = try String(contentsOfFile: LiveStores.kubeconfig ?? "", encoding: .utf8)
    try text.replacing(/current-context: .*/, with: "current-context: elsewhere")
      .write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await LiveStores.withBackend(helmKubeconfig: path) { _, parts in
      try await parts.backend.ensureNamespace(parts.site)
      try await parts.backend.applyCredentials(parts.site)
      try await parts.backend.installRelease(parts.site)
      #expect(try await statuses(parts) == ["deployed"])
    }
  }

  @Test func aNamespaceOfSomebodyElses() async throws {
    try await LiveStores.withBackend { _, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await parts.kubernetes.create(
        .namespaces, ["metadata": ["name": .string(site.namespace)]], deadline: .soon)
      let failure = await failure(ProvisionFailure.self) { try await backend.ensureNamespace(site) }
      #expect(failure?.code == .namespaceForeign)
      try await backend.uninstallRelease(site)
      try await backend.deleteNamespace(site)
      #expect(try await backend.removalStatus(of: site, after: nil).isDone)
      let kept = try await parts.kubernetes.get(
        .namespaces, name: site.namespace, deadline: .soon)
      #expect(!kept.isBeingDeleted)
    }
  }

  @Test func aLaterHolderWasThere() async throws {
    try await LiveStores.withBackend { _, parts in
      let first = parts.site
      let later = site(
        first.store, tenant: first.tenant, namespace: first.namespace, fence: first.fence + 1)
      try await parts.backend.ensureNamespace(later)
      let failure = await failure(ProvisionFailure.self) {
        try await parts.backend.ensureNamespace(first)
      }
      #expect(failure?.code == .interrupted)
    }
  }

  @Test func whatHoldsANamespaceIsNamed() async throws {
    try await LiveStores.withBackend { _, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await backend.ensureNamespace(site)
      try await parts.kubernetes.create(
        .configMaps, namespace: site.namespace,
        ["metadata": ["name": "held", "finalizers": ["tests.storeplane.dev/hold"]]],
        deadline: .soon)
      try await backend.deleteNamespace(site)
      let again = await failure(ProvisionFailure.self) { try await backend.ensureNamespace(site) }
      #expect(again?.code == .namespaceTerminating && again?.code.isRetryable == true)
      var last = try await backend.removalStatus(of: site, after: nil)
      while !last.detail.contains("tests.storeplane.dev/hold") {
        last = try await backend.removalStatus(of: site, after: last)
      }
      try await parts.kubernetes.merge(
        .configMaps, namespace: site.namespace, name: "held", ["metadata": ["finalizers": nil]],
        deadline: .soon)
      repeat {
        last = try await backend.removalStatus(of: site, after: last)
      } while !last.isDone
    }
  }

  /// Ends an install that is cancelled before it could end by itself.
  private static func impatient(_ settings: inout HelmWorkerSettings) {
    settings.endingWait = .zero
  }

  @Test func aReleaseThatADeadWorkerLeftIsTakenOver() async throws {
    try await LiveStores.withBackend(helm: Self.impatient) { reactor, parts in
      let (backend, site) = (parts.backend, parts.site)
      try await backend.ensureNamespace(site)
      try await backend.applyCredentials(site)
      // The install is cut off as soon as its record is there.
      let records = try parts.kubernetes.watch(.secrets, namespace: site.namespace)
      try await records.waitUntilSynced(deadline: .soon)
      let changes = try records.subscribe { $0.labels["owner"] == "helm" }
      let outcome = Found()
      let install = reactor.loop.spawn(on: reactor) {
        let error = await failure(ProvisionFailure.self) { try await backend.installRelease(site) }
        outcome.failure.withLock { $0 = error }
      }
      _ = try await changes.next(until: .soon)
      let begin = Instant.now()
      install.cancel()
      await backend.abandon(site, isLate: false)
      await install.value
      #expect(Instant.now() - begin < .seconds(15))
      #expect(outcome.failure.withLock { $0?.code } == .cancelled)
      #expect(try await statuses(parts) == ["pending-install"])
      try await backend.installRelease(site)
      #expect(try await statuses(parts) == ["deployed"])
    }
  }

  /// One worker installs both, and can be stopped as a whole only.
  @Test func anInstallEndedForAnotherStoresSakeIsMadeAgain() async throws {
    try await LiveStores.withBackend(helm: Self.impatient) { reactor, parts in
      let backend = parts.backend
      let store = parts.site.store
      let other = site(
        "\(store)b", tenant: parts.site.tenant, namespace: "\(parts.site.namespace)-b")
      do {
        for site in [parts.site, other] {
          try await backend.ensureNamespace(site)
          try await backend.applyCredentials(site)
        }
        let records = try parts.kubernetes.watch(.secrets, labelSelector: "owner=helm")
        try await records.waitUntilSynced(deadline: .soon)
        let changes = try records.subscribe()
        let innocent = Found()
        func install(_ site: StoreSite, _ found: Found) -> Task<Void, Never> {
          reactor.loop.spawn(on: reactor) {
            let error = await failure(ProvisionFailure.self) {
              try await backend.installRelease(site)
            }
            found.failure.withLock { $0 = error }
          }
        }
        func status(_ site: StoreSite) -> [String?] {
          records.objects(namespace: site.namespace).map { $0.labels["status"] }
        }
        /// Whether an install was stopped while both were under way; either may have been quicker.
        func stopsOneOfTwo() async throws -> Bool {
          let cancelled = Found()
          let cancelling = install(parts.site, cancelled)
          let other = (site: other, task: install(other, innocent))
          while status(parts.site).isEmpty || status(other.site).isEmpty {
            _ = try await changes.next(until: .soon)
          }
          let areBoth =
            status(parts.site) + status(other.site) == ["pending-install", "pending-install"]
          cancelling.cancel()
          await backend.abandon(parts.site, isLate: false)
          await cancelling.value
          await other.task.value
          return areBoth && cancelled.failure.withLock { $0?.code } == .cancelled
        }
        var isStopped = try await stopsOneOfTwo()
        for _ in 0..<5 where !isStopped {
          for site in [parts.site, other] {
            try await backend.uninstallRelease(site)
            while !status(site).isEmpty { _ = try await changes.next(until: .soon) }
          }
          isStopped = try await stopsOneOfTwo()
        }
        #expect(isStopped)
        #expect(innocent.failure.withLock { $0 } == nil)
        // Its first install may have been done by the time the worker was ended.
        let left = try await statuses(parts.kubernetes, other.namespace)
        #expect(left.filter { $0 != "superseded" } == ["deployed"], "\(left)")
      } catch {
        try? await parts.kubernetes.delete(.namespaces, name: other.namespace, deadline: .soon)
        throw error
      }
      try await parts.kubernetes.delete(.namespaces, name: other.namespace, deadline: .soon)
    }
  }

  private func statuses(_ parts: LiveStores.Parts) async throws -> [String?] {
    try await statuses(parts.kubernetes, parts.site.namespace)
  }

  private func statuses(
    _ kubernetes: KubernetesClient, _ namespace: String
  ) async throws -> [String?] {
    try await kubernetes.listAll(
      .secrets, ObjectSelection(namespace: namespace, labelSelector: "owner=helm"), deadline: .soon
    ).objects.map { $0.labels["status"] }
  }
}

final class Found: Sendable {
  let failure = Mutex<ProvisionFailure?>(nil)
}
