import Contracts
import Glibc
import RPC
import Reactor

/// A helm-worker that runs, and what goes on in it. Confined to its reactor.
final class HelmWorker {
  let process: HelmWorkerProcess
  let client: HelmWorkerV1.HelmServiceClient
  private let channel: Channel
  /// Calls under way, by store.
  private var active: [String: Int] = [:]
  /// Stores whose call ended here without the worker's answer: it may still be at work.
  private var unanswered: Set<String> = []
  /// Calls that it was given.
  private(set) var calls = 0
  /// It gets no further calls.
  var isRetired = false
  /// The store for whose sake it was killed.
  private(set) var abandonedStore: String?

  init(_ process: HelmWorkerProcess, socket: String, reactor: Reactor) {
    self.process = process
    var configuration = ChannelConfiguration()
    // Until it listens, which takes it some hundred milliseconds.
    configuration.backoff = .milliseconds(10)
    configuration.backoffMax = .milliseconds(100)
    configuration.connectionsMax = 1
    channel = Channel(
      reactor: reactor, configuration: configuration, address: .unix(path: socket))
    client = HelmWorkerV1.HelmServiceClient(channel: channel)
  }

  var isIdle: Bool { active.isEmpty }

  func begin(_ store: String) {
    calls += 1
    active[store, default: 0] += 1
  }

  enum CallEnd {
    case answered
    /// The worker may still be at work on it.
    case unanswered
    /// It was given up before it came to the worker.
    case notMade
  }

  func end(_ store: String, _ end: CallEnd) {
    let left = (active[store] ?? 1) - 1
    active[store] = left > 0 ? left : nil
    switch end {
    case .answered: unanswered.remove(store)
    case .unanswered: unanswered.insert(store)
    case .notMade: break
    }
  }

  /// It has told its end after all.
  func answered(_ store: String) { unanswered.remove(store) }

  /// Whether it is, or may be, at work on a store.
  func isBusy(with store: String) -> Bool { active[store] != nil || unanswered.contains(store) }

  /// Stores that it had calls of when the first of them was told that it has ended.
  private(set) lazy var storesAtEnd = active.count

  /// Ends the process and every call in it.
  func kill(abandoning store: String? = nil) {
    if process.end == nil { abandonedStore = abandonedStore ?? store }
    process.kill()
  }

  /// Ends every call in it.
  func close() { channel.close() }
}
