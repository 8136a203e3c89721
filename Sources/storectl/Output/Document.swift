import JSON
import Yams

/// A document of the gateway's as text: nothing added, nothing left out.
enum Document {
  static func yaml(_ value: JSON) throws -> String {
    try Yams.serialize(node: node(value), width: -1, allowUnicode: true)
  }

  /// Indented, for people and for diff.
  static func indentedJSON(_ value: JSON) -> String { indented(value, "") }

  private static func indented(_ value: JSON, _ indent: String) -> String {
    let inner = indent + "  "
    switch value {
    case .object(let object) where !object.isEmpty:
      let members = object.members.map {
        inner + JSON.string($0.key).serializedText() + ": " + indented($0.value, inner)
      }
      return "{\n" + members.joined(separator: ",\n") + "\n" + indent + "}"
    case .array(let elements) where !elements.isEmpty:
      let lines = elements.map { inner + indented($0, inner) }
      return "[\n" + lines.joined(separator: ",\n") + "\n" + indent + "]"
    default: return value.serializedText()
    }
  }

  private static func node(_ value: JSON) -> Node {
    switch value {
    case .null: Node("null", Tag(.null))
    case .bool(let value): Node(value ? "true" : "false", Tag(.bool))
    case .number(let number): Node(number.text, Tag(.float))
    // Quoted where it would be read as something else.
    case .string(let text): Node.scalar(text.represented())
    case .array(let elements):
      Node.sequence(
        Node.Sequence(elements.map(node), Tag(.seq), elements.isEmpty ? .flow : .block))
    case .object(let object):
      Node.mapping(
        Node.Mapping(
          object.members.map { (Node.scalar($0.key.represented()), node($0.value)) }, Tag(.map),
          object.isEmpty ? .flow : .block))
    }
  }
}
