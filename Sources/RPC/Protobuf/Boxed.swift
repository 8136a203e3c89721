/// A value behind a reference, for a message that contains itself.
package final class Boxed<Value: Sendable & Equatable>: Sendable, Equatable {
  package let value: Value

  package init(_ value: Value) {
    self.value = value
  }

  package static func == (left: Boxed, right: Boxed) -> Bool {
    left === right || left.value == right.value
  }
}
