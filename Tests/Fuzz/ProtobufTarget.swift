import Contracts
import Protobuf

/// The checks before protobuf-c, protobuf-c, and the generated wrappers.
enum ProtobufTarget {
  private typealias Check = @Sendable (UnsafeRawBufferPointer) -> Void

  private static let checks: [Check] = [
    check(TestingV1.AllKinds.self), check(TestingV1.Choices.self), check(TestingV1.Maps.self),
    check(TestingV1.Nested.self), check(TestingV1.Repeated.self),
    check(TestingV1.WellKnown.self), check(GoogleProtobuf.Struct.self),
    check(GoogleRPC.Status.self),
  ]

  /// The first byte says which message it is.
  static func run(_ input: UnsafeRawBufferPointer) -> Int32 {
    guard let first = input.first else { return 0 }
    checks[Int(first) % checks.count](UnsafeRawBufferPointer(rebasing: input.dropFirst()))
    return 0
  }

  /// What is taken survives being written and read again.
  private static func check<Message: ProtobufMessage>(_ type: Message.Type) -> Check {
    { bytes in
      do throws(ProtobufError) {
        let written = try Message(serialized: bytes).serialized()
        let again = try Message(serialized: written).serialized()
        precondition(written == again, "a message changed on its way")
      } catch {
        precondition(error.reason != .notUnpacked, "protobuf-c refused what was checked")
      }
    }
  }
}
