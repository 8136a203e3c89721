/// A message with a field that must not be shown (`debug_redact`). However it is printed, nothing of it
/// appears but its name.
package protocol ProtobufRedacted: CustomStringConvertible, CustomDebugStringConvertible,
  CustomReflectable
{
  static var fullName: String { get }
}

extension ProtobufRedacted {
  package var description: String { "\(Self.fullName)(redacted)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}
