import HTTP2

/// What the connections of one IP address have of what a server has for all its clients.
final class AddressShare {
  var connections = 0
  var callsInProgress = 0
  var heldBytes = 0
  /// Bytes that compressed messages came to.
  var inflatedBytes = LeakyBucket()
}
