/// Something that is or is not so of a store, beside its state.
package struct StoreCondition: Equatable, Sendable {
  package enum Kind: String, CaseIterable, Sendable {
    /// The store runs as was last asked for.
    case released = "Released"
    /// Nothing of it runs, because somebody asked for that.
    case suspended = "Suspended"
    /// What runs of it is not what its release says.
    case drifted = "Drifted"
    /// The last backup that was asked for was made.
    case backedUp = "BackedUp"
    /// A store can be brought to the last backup that was tested.
    case backupTested = "BackupTested"
    /// Its address has the certificate that it asks for; there is none of a store that asks for none.
    case certificateReady = "CertificateReady"
  }

  package let kind: Kind
  package let isTrue: Bool
  /// Whether it is known to be one or the other; where it is not, it is not true.
  package let isKnown: Bool
  /// Why, in one CamelCase word.
  package let reason: String
  /// Why, for people.
  package let message: String

  package var isFalse: Bool { isKnown && !isTrue }

  package init(_ kind: Kind, _ isTrue: Bool, _ reason: String, _ message: String = "") {
    self.init(kind, isTrue, isKnown: true, reason, message)
  }

  package static func unknown(_ kind: Kind, _ reason: String, _ message: String) -> Self {
    Self(kind, false, isKnown: false, reason, message)
  }

  private init(_ kind: Kind, _ isTrue: Bool, isKnown: Bool, _ reason: String, _ message: String) {
    self.kind = kind
    self.isTrue = isTrue
    self.isKnown = isKnown
    self.reason = reason
    self.message = message
  }

  /// What is so once an operation on a store that is ready, or becomes so, has succeeded.
  ///
  /// - Parameters:
  ///   - release: the number of the one that the store runs then; nil where that is not known.
  ///   - isRemedy: it took back what another operation did, which is still not in force.
  package static func succeeded(
    _ kind: OperationKind, release: Int?, isRemedy: Bool
  ) -> [StoreCondition] {
    let words = release.map { "the store runs release \($0)" } ?? ""
    switch kind {
    case .provision:
      return [.init(.released, true, "Provisioned", words), .init(.suspended, false, "Running")]
    case .upgrade: return [.init(.released, true, "Upgraded", words)]
    // What the operation that it remedies said of itself stays.
    case .rollback: return isRemedy ? [] : [.init(.released, true, "RolledBack", words)]
    case .suspend:
      return [
        .init(.released, true, "Suspended"),
        .init(.suspended, true, "Suspended", "resume the store to start it again"),
      ]
    case .resume:
      return [.init(.released, true, "Resumed", words), .init(.suspended, false, "Running")]
    case .backup: return [.init(.backedUp, true, "BackedUp")]
    case .backupTest: return [.init(.backupTested, true, "BackupTested")]
    case .restore: return [.init(.released, true, "Restored", words)]
    case .delete: return []
    }
  }

  /// What is so once one has not succeeded; it leaves what it does not name as it was.
  ///
  /// - Parameters:
  ///   - problem: why; nil: somebody had it stopped.
  ///   - hasActed: what runs may be changed.
  ///   - release: the number of the one that the store goes back to by itself; nil where it does not.
  ///   - current: the number of the one that the store is to run; nil where it is not to be told.
  ///   - isScheduled: nobody asked for it, and it is done again by itself.
  package static func unsuccessful(
    _ kind: OperationKind, _ problem: StoreProblem?, hasActed: Bool, backTo release: Int?,
    current: Int? = nil, isScheduled: Bool = false
  ) -> [StoreCondition] {
    if kind == .backupTest {
      // One that was stopped says nothing.
      return problem.map {
        [.init(.backupTested, false, "BackupTestFailed", "\(kind.noun) failed: \($0.message)")]
      } ?? []
    }
    let name = kind.rawValue.prefix(1).uppercased() + kind.rawValue.dropFirst()
    let reason = name + (problem == nil ? "Cancelled" : "Failed")
    let words = problem.map { "\(kind.noun) failed: \($0.message)" } ?? "\(kind.noun) cancelled"
    if kind == .backup {
      let isRepeated = isScheduled && problem.map { BackupSchedule.isRetried(kind, $0) } == true
      let next = isRepeated ? "; it is made again \(BackupSchedule.retryWords)" : ""
      return [StoreCondition(.backedUp, false, reason, words + next)]
    }
    // What was stopped before it has begun leaves the store as it was.
    if problem == nil, kind == .rollback || kind == .resume, !hasActed { return [] }
    let back =
      release.map { "; the store goes back to release \($0)" }
      ?? current.map { "; roll the store back to release \($0), or upgrade it" } ?? ""
    let released = StoreCondition(.released, false, reason, words + back)
    // Its pods were asked for: it is as any store whose pods do not come.
    let hasPods = kind == .resume && hasActed
    return hasPods ? [released, StoreCondition(.suspended, false, reason)] : [released]
  }
}
