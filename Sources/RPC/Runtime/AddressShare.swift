import HTTP2

/// What the connections of one IP address have of what a server has for all its clients.
final class AddressShare {
  var connections = 0
  var callsInProgress = 0
  var heldBytes = 0
  /// Bytes that compressed messages came to.
  var inflatedBytes = LeakyBucket()

  /// Whether it is as that of a client which never came.
  func isUnused(_ limits: ServerLimits, now: UInt64) -> Bool {
    var nothing = limits.inflatedBytes
    nothing.burst = 0
    return connections == 0 && callsInProgress == 0 && heldBytes == 0
      && inflatedBytes.add(0, within: nothing, now: now)
  }
}
