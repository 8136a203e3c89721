/// What is done where that which runs of a ready store is not what its release says.
package enum DriftPolicy: String, CaseIterable, Sendable { case correct, report }

/// An object of a store that is not as the store's release says.
package struct Drift: Equatable, Sendable {
  /// Its kind and name, such as `Deployment/store-wordpress`.
  package let object: String
  /// The paths of the fields that differ, never their values: those may be secret. Empty: the object is
  /// not there.
  package let fields: [String]

  package init(object: String, fields: [String]) {
    self.object = object
    self.fields = fields
  }
}

extension [Drift] {
  /// Objects, and fields of each, that are told.
  package static let toldMax = 5

  /// All of it in words that stay the same while it does; nil where there is none.
  package var words: String? {
    if isEmpty { return nil }
    let told = prefix(Self.toldMax).map { drift in
      if drift.fields.isEmpty { return "\(drift.object) is missing" }
      let more = drift.fields.count - Self.toldMax
      return "\(drift.object): " + drift.fields.prefix(Self.toldMax).joined(separator: ", ")
        + (more > 0 ? " and \(more) more" : "")
    }
    let more = count - Self.toldMax
    return told.joined(separator: "; ") + (more > 0 ? "; and \(more) more objects" : "")
  }
}

/// What comes of a look at a store.
package enum DriftDecision: Equatable, Sendable {
  case inSync
  case report
  /// It was corrected, and is there again: something else changes the store.
  case reportReturned
  case correct

  /// - Parameter wasCorrected: there was a correction, and no look since that found nothing.
  package static func decide(
    _ drift: [Drift], _ policy: DriftPolicy, wasCorrected: Bool
  ) -> DriftDecision {
    if drift.isEmpty { return .inSync }
    if policy == .report { return .report }
    return wasCorrected ? .reportReturned : .correct
  }

  package func condition(_ drift: [Drift]) -> StoreCondition {
    let words = drift.words ?? ""
    switch self {
    case .inSync: return StoreCondition(.drifted, false, "InSync")
    case .report: return StoreCondition(.drifted, true, "Reported", words)
    case .reportReturned:
      return StoreCondition(
        .drifted, true, "Returned", words + "; it was corrected, and something changed it again")
    case .correct:
      return StoreCondition(.drifted, true, "Correcting", words)
    }
  }
}
