package import Postgres
package import Reactor

/// Tells who watches a store or an operation that it changed, and the workers that there is work.
/// Confined to a reactor.
package final class ChangeFeed {
  /// Watches open at once in this process.
  package static let watchesMax = 10_000

  package enum Subject: Hashable, Sendable {
    case store(String)
    case operation(PostgresUUID)
  }

  private let listener: PostgresListener
  private let reactor: Reactor
  private var watches: [Subject: [ObjectIdentifier: ChangeWatch]] = [:]
  private var count = 0
  private var isClosed = false

  /// There may be an operation to claim.
  package var onWork: (() -> Void)?
  /// An operation is to be cancelled; nil: any may be.
  package var onCancellation: ((PostgresUUID?) -> Void)?

  /// - Parameter listener: of its own; it is closed with the feed.
  package init(listener: PostgresListener, on reactor: Reactor) throws(PostgresError) {
    self.listener = listener
    self.reactor = reactor
    try listener.listen(to: "provisioner_stores") { [unowned self] event in
      storesChanged(event)
    }
    try listener.listen(to: "provisioner_operations") { [unowned self] event in
      operationsChanged(event)
    }
    try listener.listen(to: "provisioner_work") { [unowned self] _ in onWork?() }
    try listener.listen(to: "provisioner_cancellations") { [unowned self] event in
      if case .notification(let id) = event { onCancellation?(PostgresUUID(id)) }
      if case .mayHaveMissed = event { onCancellation?(nil) }
    }
  }

  /// Ends every watch.
  package func close() {
    isClosed = true
    listener.close()
    for watch in watches.values.flatMap(\.values) { watch.end() }
    watches = [:]
    count = 0
  }

  /// Begins a watch, whose first change is there at once; to be ended with `end`.
  ///
  /// - Throws: `ChangeFeedFull` at `watchesMax`.
  package func watch(_ subject: Subject) throws(ChangeFeedFull) -> ChangeWatch {
    reactor.loop.checkIsolated()
    guard count < ChangeFeed.watchesMax else { throw ChangeFeedFull() }
    let watch = ChangeWatch(subject, on: reactor)
    if isClosed {
      watch.end()
      return watch
    }
    watches[subject, default: [:]][ObjectIdentifier(watch)] = watch
    count += 1
    return watch
  }

  package func end(_ watch: ChangeWatch) {
    let isKnown = watches[watch.subject]?.removeValue(forKey: ObjectIdentifier(watch)) != nil
    guard isKnown else { return }
    count -= 1
    if watches[watch.subject]?.isEmpty ?? false { watches[watch.subject] = nil }
    watch.end()
  }

  private func storesChanged(_ event: PostgresListener.Event) {
    switch event {
    case .notification(let id): changed(.store(id))
    case .mayHaveMissed: anyChanged { if case .store = $0 { true } else { false } }
    }
  }

  private func operationsChanged(_ event: PostgresListener.Event) {
    switch event {
    case .notification(let id): PostgresUUID(id).map { changed(.operation($0)) }
    case .mayHaveMissed: anyChanged { if case .operation = $0 { true } else { false } }
    }
  }

  private func changed(_ subject: Subject) {
    for watch in (watches[subject] ?? [:]).values { watch.signal() }
  }

  private func anyChanged(_ isMeant: (Subject) -> Bool) {
    for (subject, watches) in watches where isMeant(subject) {
      for watch in watches.values { watch.signal() }
    }
  }
}

/// As many watches are open as may be.
package struct ChangeFeedFull: Error, Equatable, Sendable {}

/// One watcher. Changes that come while it looks at the last one are told as one.
package final class ChangeWatch {
  package let subject: ChangeFeed.Subject
  private let reactor: Reactor
  private var isPending = true
  private var isEnded = false
  private var waiter: Resumption<Void>?

  init(_ subject: ChangeFeed.Subject, on reactor: Reactor) {
    self.subject = subject
    self.reactor = reactor
  }

  /// Waits for the next change; false when there will be none, as the feed or the task ends.
  package func next() async -> Bool {
    let onCancel = { self.wake() }
    while !isPending && !isEnded && !Task.isCancelled {
      await suspended(on: reactor, onCancel: onCancel) { resumption in
        // Other jobs may have run on the way here.
        if self.isPending || self.isEnded { return resumption.resume(()) }
        self.waiter = resumption
      }
    }
    isPending = false
    return !isEnded && !Task.isCancelled
  }

  func signal() {
    isPending = true
    wake()
  }

  func end() {
    isEnded = true
    wake()
  }

  private func wake() {
    let waiter = self.waiter
    self.waiter = nil
    waiter?.resume(())
  }
}
