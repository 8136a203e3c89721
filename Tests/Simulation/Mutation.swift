/// A mistake that is made on purpose, to see that the simulation finds it. It is made in the SQL on its way to
/// the server, or in the schema: the services know nothing of it.
enum Mutation: String, CaseIterable {
  /// Updates of operations go by neither token nor lease.
  case unfenced
  /// Operations are claimed whoever holds them.
  case unleased
  /// Events count as delivered once they are claimed.
  case hasty
  /// A deletion does not wait for the work that it cancels.
  case impatient
  /// Whatever a check finds, its cluster stays in use.
  case blind
  /// A cluster that was given up is still taken for the one that it was.
  case nostalgic

  /// What becomes of a statement of the services.
  func rewrite(_ sql: String) -> String {
    switch self {
    case .unfenced:
      sql.replacing(
        "fence = $2 AND state = 'running' AND lease_expires_at > clock_timestamp()",
        with: "$2::bigint IS NOT NULL")
    case .blind: sql.replacing("ready = coalesce($4, ready)", with: "ready = ready OR $4")
    case .nostalgic: sql.replacing("uid = NULL, forced = '{}'", with: "forced = '{}'")
    case .unleased, .hasty, .impatient: sql
    }
  }

  /// The function of the schema that changes, and what is replaced in it.
  var function: (name: String, text: String, replacement: String)? {
    switch self {
    case .unleased:
      (
        "is_claimable",
        "(candidate.lease_expires_at IS NULL OR candidate.lease_expires_at <= clock_timestamp())",
        "true"
      )
    case .hasty: ("claim_outbox", "attempts = attempts + 1", "delivered_at = clock_timestamp()")
    case .impatient: ("is_claimable", "(candidate.kind <> 'delete' OR", "(true OR")
    case .unfenced, .blind, .nostalgic: nil
    }
  }
}
