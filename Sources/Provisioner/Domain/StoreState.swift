/// Where a store is in its life.
package enum StoreState: String, CaseIterable, Sendable {
  case requested, provisioning, ready, failed, deleting, deleted
}

/// What can happen to a store.
package enum StoreEvent: String, CaseIterable, Sendable {
  /// Work on a requested store begins.
  case start
  /// Its last step is done.
  case succeed
  /// The work is given up.
  case fail
  /// The work is stopped because somebody asked for it.
  case cancel
  /// A failed store is to be provisioned again.
  case retry
  /// The store is to be removed.
  case delete
  /// Nothing is left of it.
  case vanish
}

extension StoreState {
  /// Every arrow there is; what is not in it cannot happen.
  package static let transitions: [StoreState: [StoreEvent: StoreState]] = [
    .requested: [.start: .provisioning, .delete: .deleting],
    .provisioning: [.succeed: .ready, .fail: .failed, .cancel: .failed],
    .ready: [.delete: .deleting],
    .failed: [.retry: .requested, .delete: .deleting],
    .deleting: [.vanish: .deleted, .fail: .failed],
    .deleted: [:],
  ]

  /// The state after `event`; throws where the event cannot happen in this state.
  package func after(_ event: StoreEvent) throws(IllegalStoreEvent) -> StoreState {
    guard let next = StoreState.transitions[self]?[event] else {
      throw IllegalStoreEvent(state: self, event: event)
    }
    return next
  }
}

/// An event that cannot happen to a store in its state.
package struct IllegalStoreEvent: Error, Equatable, CustomStringConvertible {
  package let state: StoreState
  package let event: StoreEvent

  package var description: String {
    let possible = (StoreState.transitions[state] ?? [:]).keys.map(\.rawValue).sorted()
    return "a store that is \(state.rawValue) cannot \(event.rawValue)"
      + (possible.isEmpty
        ? ": that is its last state" : "; it can \(possible.joined(separator: " or "))")
  }
}
