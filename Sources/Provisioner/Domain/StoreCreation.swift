/// What creating a store means where its tenant has, or has not, one of that name.
package enum StoreCreation: Equatable, Sendable {
  /// There is none: make it.
  case create
  /// It failed and is asked for again as it was: retry.
  case retry
  /// It is there.
  case conflict(Conflict)

  package enum Conflict: Equatable, Sendable {
    /// It lives, in this state.
    case alive(StoreState)
    /// It failed, and was asked for with another engine or other parameters.
    case otherParameters
    /// It was its deletion that failed: it can only be deleted.
    case deletionFailed
  }

  /// A store that is there, as far as creation is concerned.
  package struct Existing: Equatable, Sendable {
    package let state: StoreState
    package let engine: StoreEngine
    package let parameters: StoreParameters
    /// What the last work on it was.
    package let lastOperation: OperationKind
    /// The id of the backup that its data was to be taken from.
    package let backup: String?

    package init(
      state: StoreState, engine: StoreEngine, parameters: StoreParameters,
      lastOperation: OperationKind, backup: String? = nil
    ) {
      self.state = state
      self.engine = engine
      self.parameters = parameters
      self.lastOperation = lastOperation
      self.backup = backup
    }
  }

  /// - Parameter existing: the tenant's store of that name that is not deleted.
  package static func decide(
    engine: StoreEngine, parameters: StoreParameters, backup: String? = nil, existing: Existing?
  ) -> StoreCreation {
    guard let existing, existing.state != .deleted else { return .create }
    guard existing.state == .failed else { return .conflict(.alive(existing.state)) }
    if existing.lastOperation == .delete { return .conflict(.deletionFailed) }
    guard existing.engine == engine, existing.parameters == parameters, existing.backup == backup
    else {
      return .conflict(.otherParameters)
    }
    return .retry
  }
}

extension StoreCreation.Conflict {
  /// What the caller is told.
  package func message(name: String) -> String {
    switch self {
    case .alive(let state):
      "a store named '\(name)' is there already (\(state.rawValue)); choose another name, or delete "
        + "it first"
    case .otherParameters:
      "a store named '\(name)' failed and was asked for with another engine or other parameters; ask "
        + "with the same ones to retry, or delete it first"
    case .deletionFailed:
      "the deletion of the store '\(name)' failed; delete it again before the name is used anew"
    }
  }
}
