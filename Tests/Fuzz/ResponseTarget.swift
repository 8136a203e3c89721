import RPCCore

@testable import RPC

/// The header block of a response, with any fields in it.
enum ResponseTarget {
  /// Names and values in turn, a zero after each.
  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    let texts = input.split(separator: 0, omittingEmptySubsequences: false).map(Array.init)
    let head = ResponseHead()
    let first = read(texts, head)
    precondition(first == read(texts, head), "something of the last response is left")
    for entry in first.metadata.entries {
      let isReserved = entry.name.hasPrefix("grpc-") || entry.name.hasPrefix(":")
      precondition(!isReserved, "metadata that is gRPC's own")
    }
    return 0
  }

  private struct Outcome: Equatable {
    var error: RPCError?
    var isInitial: Bool
    var isInformational: Bool
    var encoding: MessageEncoding?
    var pushback: Pushback?
    var metadata: Metadata
  }

  private static func read(_ texts: [[UInt8]], _ head: ResponseHead) -> Outcome {
    head.reset()
    for index in stride(from: 0, to: texts.count - 1, by: 2) {
      texts[index].withUnsafeBufferPointer { name in
        texts[index + 1].withUnsafeBufferPointer { head.add(name, $0) }
      }
    }
    var outcome = Outcome(
      isInitial: head.outcome == nil, isInformational: head.isInformational,
      encoding: head.encoding, pushback: head.pushback, metadata: head.metadata)
    if case .failure(let error) = head.outcome { outcome.error = error }
    return outcome
  }
}
