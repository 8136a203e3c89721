package import Reactor

/// What one client of one cluster may cost, each limit with what it stops.
package struct KubernetesLimits: Sendable {
  /// Connections for requests and watches; each carries as many streams as the server takes.
  package var connectionsMax = 4
  /// Calls that wait for a connection: more would only pile up behind a server that is gone.
  package var waitingCallsMax = 256
  /// One answer: a page of a list, or an object.
  package var responseBytesMax = 16 * 1024 * 1024
  /// Objects asked for in one page of a list.
  package var listPageObjects = 100
  /// Objects of a whole list that is read page by page.
  package var listObjectsMax = 20_000
  /// Shared watches of one client, one a kind and selector: a watch for each store would end here.
  package var watchesMax = 64
  package var watch = WatchLimits()
  /// Connections for exec, of which each is one command.
  package var execsMax = 16
  package var connection = ConnectionLimits()

  package init() {}
}

/// What one shared watch may cost.
package struct WatchLimits: Sendable {
  /// Objects kept in memory.
  package var objectsMax = 20_000
  /// Subscribers at once.
  package var subscribersMax = 4096
  /// Changes that one subscriber has not taken; above it they become one `.resynced`.
  package var pendingChangesMax = 1024
  /// One event: etcd takes objects of 1.5 MB, and JSON escapes can make them larger.
  package var eventBytesMax = 8 * 1024 * 1024
  /// How long one request watches. The server ends it then, and a connection that died without a
  /// word is noticed `graceAfterEnd` later.
  package var requestLifetime = Duration.seconds(120)
  package var graceAfterEnd = Duration.seconds(15)
  /// Of each list.
  package var listDeadline = Duration.seconds(60)
  /// Between attempts after failures: doubled each time up to the second, ±25 %.
  package var backoff = Duration.milliseconds(250)
  package var backoffMax = Duration.seconds(20)

  package init() {}
}
