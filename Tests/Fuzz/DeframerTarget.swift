import RPCCore

/// The same bytes, whole and cut to pieces, give the same messages and the same error, and never more
/// is gathered than a message may have.
enum DeframerTarget {
  private static let messageBytesMax = 100

  private struct Outcome: Equatable {
    var messages: [[UInt8]] = []
    var error: RPCError?
  }

  /// The first byte says how long the pieces are.
  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    guard let first = input.first else { return 0 }
    let bytes = UnsafeRawBufferPointer(rebasing: input.dropFirst())
    let whole = feed(bytes, pieceBytes: max(bytes.count, 1))
    let cut = feed(bytes, pieceBytes: Int(first % 16) + 1)
    precondition(whole == cut, "cutting changes the messages")
    return 0
  }

  private static func feed(_ bytes: UnsafeRawBufferPointer, pieceBytes: Int) -> Outcome {
    var deframer = MessageDeframer(messageBytesMax: messageBytesMax)
    var outcome = Outcome()
    var start = 0
    do throws(RPCError) {
      while start < bytes.count {
        let end = min(start + pieceBytes, bytes.count)
        let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
        try deframer.feed(piece) { message, _ throws(RPCError) in
          precondition(message.count <= messageBytesMax, "a message over the limit")
          outcome.messages.append(Array(message))
        }
        precondition(
          deframer.gatheredBytes < messageBytesMax + MessageDeframer.prefixBytes,
          "more gathered than a message has")
        start = end
      }
    } catch {
      outcome.error = error
    }
    return outcome
  }
}
