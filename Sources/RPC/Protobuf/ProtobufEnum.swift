/// An enum of the contracts. Values that are not in them are kept as they came.
package protocol ProtobufEnum: RawRepresentable, Hashable, Sendable where RawValue == Int32 {
  /// The value whose number is 0.
  init()

  init(rawValue: Int32)

  /// The value's name in the contracts, such as `STATE_READY`; nil when it is not in them.
  var name: String? { get }

  /// The values of the contracts, in their order.
  static var known: [Self] { get }
}

extension ProtobufEnum {
  /// The value with this name in the contracts, such as `STATE_READY`.
  package init?(name: String) {
    guard let value = Self.known.first(where: { $0.name == name }) else { return nil }
    self = value
  }
}
