package import RPCCore

/// What came with a call's messages, for a caller that asks for it by `CallOptions.record`; filled in by
/// the time the call ends, well or not. Confined to the channel's reactor.
package final class CallRecord: @unchecked Sendable {
  package internal(set) var initialMetadata = Metadata()
  package internal(set) var trailingMetadata = Metadata()
  /// How many times the call was made.
  package internal(set) var attempts = 0
  /// Whether the last message of the response came compressed.
  package internal(set) var lastWasCompressed = false

  package init() {}
}
