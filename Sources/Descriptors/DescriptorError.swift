/// Why bytes are not a set of descriptors that can be used.
package struct DescriptorError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Reason: Equatable, Sendable {
    case malformed(WireError)
    case nameMissing
    case duplicateSymbol
    /// A file comes before one that it imports, or without it.
    case dependencyMissing(String)
    case typeMissing(String)
    /// A field's type is a number that has no meaning, or a group.
    case unsupportedType(Int32)
    case oneofMissing(Int)
    case mapEntryInvalid
    case tooLarge(bytesMax: Int)
    case tooManyFiles(filesMax: Int)
    case tooManySymbols(symbolsMax: Int)
    case nestedTooDeeply(depthMax: Int)
    case tooManyBindings(bindingsMax: Int)
  }

  package let reason: Reason
  /// The file, message, field or method at fault; empty for the set itself.
  package let symbol: String

  package init(_ reason: Reason, in symbol: String = "") {
    self.reason = reason
    self.symbol = symbol
  }

  package var description: String {
    "\(symbol.isEmpty ? "the descriptor set" : symbol): \(reason.text)"
  }
}

extension DescriptorError.Reason {
  fileprivate var text: String {
    switch self {
    case .malformed(let error): error.description
    case .nameMissing: "has a descriptor without a name"
    case .duplicateSymbol: "is defined twice"
    case .dependencyMissing(let name): "imports \(name), which does not come before it"
    case .typeMissing(let name): "refers to \(name), which is not in the set"
    case .unsupportedType(let number): "has the type \(number), which is not supported"
    case .oneofMissing(let index): "belongs to oneof \(index), which its message does not have"
    case .mapEntryInvalid: "is a map entry without a scalar key and a value"
    case .tooLarge(let max): "has more than \(max) bytes"
    case .tooManyFiles(let max): "has more than \(max) files"
    case .tooManySymbols(let max): "has more than \(max) symbols"
    case .nestedTooDeeply(let max): "nests more than \(max) messages deep"
    case .tooManyBindings(let max): "has more than \(max) HTTP bindings"
    }
  }
}

/// What a set of descriptors may cost; far above any set of our own.
package struct DescriptorLimits: Equatable, Sendable {
  package var bytesMax = 16 << 20
  package var filesMax = 1_000
  /// Messages, fields, enums, their values, services, methods and extensions.
  package var symbolsMax = 100_000
  /// Messages are parsed recursively.
  package var depthMax = 32
  package var bindingsMax = 32

  package init() {}
}
