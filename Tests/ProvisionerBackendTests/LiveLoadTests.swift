import Foundation
import Glibc
import JSON
import Kubernetes
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

/// Many stores at once on the real API server, with Helm, controllers and the config service. Their
/// pods run nowhere: what a kubelet would say of them is said by the test, and what happens in a pod is
/// left out. `scripts/bench provisioning` has more of them made, and reads what it prints.
@Suite(.enabled(if: LiveStores.isThere), .serialized, .timeLimit(.minutes(120)))
struct LiveLoadTests {
  private static func number(_ name: String) -> Int? {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
  }

  private static let stores = number("STOREPLANE_LOAD_STORES") ?? 50
  private static let tenants = number("STOREPLANE_LOAD_TENANTS") ?? 2
  private static let workers = 5
  /// Of a helm-worker that installs for all of them at once.
  private static let workerMegabytesMax = 250.0
  /// Of the time from the start of an operation to its end, outside of its steps: of Helm, of Kubernetes and
  /// of what sets the store up.
  private static let percentOutsideStepsMax = 5.0
  // What there is of these is shared by all stores: fewer than one for each, however many they are.
  private static let watchesMax = 4
  /// Beside those of Swift's pool, which has one for each processor.
  private static let threadsMax = 8
  private static let descriptorsMax = 128
  private static let nowhere: JSON = [
    "nodeSelector": StandInKubelet.nowhere, "persistence": ["enabled": false],
  ]

  @Test func manyStoresAgainstFiveWorkers() async throws {
    var values = JSONObject()
    values["wordpress"] = Self.nowhere
    values["mariadb"] = Self.nowhere
    let chartValues = values
    let workersBefore = Usage(RUSAGE_CHILDREN.rawValue)
    try await LiveStores.withBackend(values: chartValues) { reactor, parts in
      var tenants = [parts.site.tenant]
      while tenants.count < Self.tenants {
        tenants.append(try await parts.config.newTenant(on: reactor))
      }
      let crew = try await Crew(parts, tenants: tenants, on: reactor)
      await crew.work { $0.workers = Self.workers }
      let kubelet = StandInKubelet(parts.kubernetes)
      let reports = reactor.loop.spawn(on: reactor) { try? await kubelet.run() }
      var thrown: (any Error)?
      do { try await makeAndDelete(crew, parts.kubernetes) } catch { thrown = error }
      await crew.stop()
      reports.cancel()
      await reports.value
      if let thrown { throw thrown }
    }
    // Those that have ended by now: all of them.
    let used = Usage(RUSAGE_CHILDREN.rawValue)
    tell("helm_worker_cpu_ms_a_store", (used.cpu - workersBefore.cpu) * 1_000 / Double(Self.stores))
    tell("helm_worker_peak_mb", used.peakMegabytes)
    #expect(used.peakMegabytes < Self.workerMegabytesMax)
  }

  private func makeAndDelete(_ crew: Crew, _ kubernetes: KubernetesClient) async throws {
    let begin = Instant.now()
    let (before, sent) = (Usage(RUSAGE_SELF.rawValue), kubernetes.requestsSent)
    var made: [String] = []
    for number in 0..<Self.stores { made.append(try await crew.create(number)) }
    #expect(try await crew.wait(for: .ready, of: made.count) == [])
    let histories = try await crew.histories()
    for store in made { #expect(histories[store] == ["requested", "provisioning", "ready"]) }
    #expect(crew.backend.busyMax == Self.workers)
    let seconds = Double((Instant.now() - begin).nanosecondsSaturating) / 1e9
    let (after, count) = (Usage(RUSAGE_SELF.rawValue), Double(Self.stores))
    tell("stores_a_minute", count * 60 / seconds)
    tell("provisioner_cpu_ms_a_store", (after.cpu - before.cpu) * 1_000 / count)
    tell("provisioner_peak_mb", after.peakMegabytes)
    expectNothingForEachStore(kubernetes)
    tell("kubernetes_requests_a_store", Double(kubernetes.requestsSent - sent) / count)
    tell(
      "transactions_a_store",
      try await crew.figure(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
      ) / count)
    let outside = try await crew.figure(Self.outsideSteps)
    tell("percent_outside_steps", outside)
    #expect(outside < Self.percentOutsideStepsMax)
    try await crew.deleteAll()
    #expect(try await crew.wait(for: .deleted, of: made.count) == [])
    let all = Double((Instant.now() - begin).nanosecondsSaturating) / 1e9
    tell("deletions_a_minute", count * 60 / (all - seconds))
  }

  private func expectNothingForEachStore(_ kubernetes: KubernetesClient) {
    let threads = entries("/proc/self/task")
    let descriptors = entries("/proc/self/fd")
    tell("provisioner_threads", Double(threads))
    tell("provisioner_descriptors", Double(descriptors))
    tell("kubernetes_watches", Double(kubernetes.watchCount))
    #expect(threads > 0 && threads <= Self.threadsMax + ProcessInfo.processInfo.processorCount)
    #expect(descriptors > 0 && descriptors <= Self.descriptorsMax)
    #expect(kubernetes.watchCount <= Self.watchesMax)
  }

  /// Of the time from the start of each operation to its end.
  private static let outsideSteps = """
    SELECT 100 * (1 - sum(s.seconds) / sum(extract(epoch FROM o.ended_at - o.started_at)))
    FROM operations o JOIN (SELECT operation, sum(extract(epoch FROM ended_at - started_at)) AS seconds
      FROM operation_steps GROUP BY operation) s ON s.operation = o.id
    """

  private func tell(_ name: String, _ value: Double) {
    print("load.\(name): \((value * 10).rounded() / 10)")
  }

  private func entries(_ folder: String) -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: folder).count) ?? 0
  }

  /// What processes have used so far.
  private struct Usage {
    /// Seconds, user and system.
    let cpu: Double
    let peakMegabytes: Double

    init(_ who: __rusage_who_t) {
      var usage = rusage()
      getrusage(who, &usage)
      func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
      cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime)
      peakMegabytes = Double(usage.ru_maxrss) / 1_024
    }
  }
}
