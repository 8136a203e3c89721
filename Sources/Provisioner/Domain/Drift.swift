/// What is done where that which runs of a ready store is not what its release says.
package enum DriftPolicy: String, CaseIterable, Sendable { case correct, report }

/// An object of a store that is not as the store's release says.
package struct Drift: Equatable, Sendable {
  package enum Difference: Equatable, Sendable {
    case missing
    /// The paths of the fields that differ, never their values: those may be secret.
    case fields([String])
    /// Bringing it back would fail, for the reason that is given.
    case refused(String)
  }

  /// Its kind and name, such as `Deployment/store-wordpress`.
  package let object: String
  package let difference: Difference

  package init(_ object: String, _ difference: Difference) {
    self.object = object
    self.difference = difference
  }

  package var isCorrectable: Bool {
    if case .refused = difference { false } else { true }
  }

  var words: String {
    switch difference {
    case .missing: return "\(object) is missing"
    case .refused(let reason): return "\(object) cannot be brought back: \(reason)"
    case .fields(let fields):
      let more = fields.count - [Drift].toldMax
      return "\(object): " + fields.prefix([Drift].toldMax).joined(separator: ", ")
        + (more > 0 ? " and \(more) more" : "")
    }
  }
}

extension [Drift] {
  /// Objects, and fields of each, that are told.
  package static let toldMax = 5

  /// All of it in words that stay the same while it does; nil where there is none.
  package var words: String? {
    if isEmpty { return nil }
    let more = count - Self.toldMax
    return prefix(Self.toldMax).map(\.words).joined(separator: "; ")
      + (more > 0 ? "; and \(more) more objects" : "")
  }
}

/// What comes of a look at a store.
package enum DriftDecision: Equatable, Sendable {
  /// Corrections of a store within a day. What changes it more often does so for ever, and each
  /// correction is one of the records that Helm keeps of it.
  package static let correctionsMax = 3

  case inSync
  case report
  /// It was corrected as often as it may be: something else changes the store.
  case reportReturned
  case correct

  /// - Parameter corrections: within the last day.
  package static func decide(
    _ drift: [Drift], _ policy: DriftPolicy, corrections: Int
  ) -> DriftDecision {
    if drift.isEmpty { return .inSync }
    if policy == .report || !drift.allSatisfy(\.isCorrectable) { return .report }
    return corrections < correctionsMax ? .correct : .reportReturned
  }

  package func condition(_ drift: [Drift]) -> StoreCondition {
    let words = drift.words ?? ""
    switch self {
    case .inSync: return StoreCondition(.drifted, false, "InSync")
    case .report: return StoreCondition(.drifted, true, "Reported", words)
    case .reportReturned:
      return StoreCondition(
        .drifted, true, "Returned",
        words + "; it was corrected \(Self.correctionsMax) times within a day, and is changed again"
      )
    case .correct: return StoreCondition(.drifted, true, "Correcting", words)
    }
  }
}
