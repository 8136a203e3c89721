import ProvisionerService
import Resilience
import Testing

@testable import ProvisionerBackend

/// A step that is over before its parts can be says only that it took too long, and counts against the
/// cluster.
@Suite struct StepTimeTests {
  /// The removal of what jobs have left.
  private static let removal = [StoreJobs.requestTimeout, StoreJobs.endingWait]
  /// A job, after an earlier one was removed; it is removed itself when it has failed.
  private static let job =
    removal + [.seconds(StoreJob.secondsMax), StoreJobs.requestTimeout] + removal
  /// After the end of an earlier call.
  private static let call = [
    HelmWorkerSettings(program: "", library: "").endingWait, HelmReleases.callTimeout,
  ]
  /// Before it goes what a job has left, what was refused its pods, and the records of a dead worker; after it
  /// what is not of the release any more.
  private static let release =
    removal + [RefusedWorkloads.timeout, HelmReleases.lookTimeout] + call
    + [HelmReleases.lookTimeout, ReleaseLeftovers.timeout]
  /// Asked about where a store does not answer, and once more in the end.
  private static let visit = [
    StoreVerification.timeout, StoreCertificates.timeout, StoreCertificates.timeout,
  ]
  private static let request = StoreNamespace.requestTimeout

  /// Those that are missing have no limit but the step's: a rollout and a start go on until pods are
  /// ready.
  static let parts: [OperationStep: [Duration]] = [
    .namespace: [request, request],
    .credentials: [StoreCredentials.timeout],
    .release: release,
    .setup: [StoreSetup.timeout],
    .verify: visit,
    .uninstall: [request] + call + [StoreRollout.endingWait],
    .namespaceRemoval: [request, request],
    .gone: [request, .seconds(BackendSettings.removalPatienceSeconds), request],
    .credentialsRemoval: [StoreCredentials.timeout],
    .rollback: release + [StoreArchives.requestTimeout],
    .check: visit,
    .backup: job,
    .backupCheck: [StoreJobs.requestTimeout, ObjectStore.timeout],
    .backupTest: [ObjectStore.timeout] + job,
    .restore: [ObjectStore.timeout, StoreArchives.requestTimeout, StoreArchives.endingWait]
      + job + [StoreArchives.requestTimeout],
    .jobRemoval: removal,
  ]

  @Test(arguments: OperationStep.allCases)
  func outlastsItsParts(step: OperationStep) throws {
    guard let parts = Self.parts[step] else {
      #expect(step.timeoutCode == .rolloutTimedOut)
      return
    }
    let sum = parts.reduce(.zero, +)
    #expect(step.timeout > sum, "\(step.rawValue) has \(step.timeout), its parts have \(sum)")
  }

  @Test func anOperationOutlastsTheAttemptsAtItsLongestStep() {
    let settings = EngineSettings()
    let longest = OperationStep.allCases.map(\.timeout).max() ?? .zero
    #expect(settings.operationTimeout > longest * settings.retry.maximumAttempts)
  }
}
