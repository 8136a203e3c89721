/// How many operations may be under way at once, over all replicas. One that waits for its next attempt
/// is not under way.
package struct OperationLimits: Equatable, Sendable {
  /// Of one tenant.
  package var perTenant = 10
  /// On the stores of one cluster.
  package var perCluster = 50
  package var overall = 200

  package init() {}
}
