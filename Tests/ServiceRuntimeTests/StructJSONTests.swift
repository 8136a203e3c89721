import Contracts
import JSON
import Testing

@testable import ServiceRuntime

@Suite struct StructJSONTests {
  @Test func whatComesIsWhatGoes() throws {
    let message: GoogleProtobuf.Struct = [
      "text": "a \"quoted\" ü\n", "whole": 42, "half": 1.5, "large": 1e300, "none": nil,
      "list": [true, ["deep": "er"], []], "": "empty key",
    ]
    let object = try JSONObject(message, path: "values")
    #expect(object.keys == ["", "half", "large", "list", "none", "text", "whole"])
    #expect(GoogleProtobuf.Struct(object) == message)
  }

  @Test func whatCannotBeKeptIsNamed() {
    let bad: [(GoogleProtobuf.Struct, String)] = [
      (["a": [1, .init(kind: .numberValue(.nan))]], "values.a[1]"),
      (["a": ["b": .init(kind: .numberValue(.infinity))]], "values.a.b"),
      (["a": .init()], "values.a"),
      (["a": ["x\0"]], "values.a[0]"),
      (["a": ["\0": 1]], "values.a.\0"),
    ]
    for (message, field) in bad {
      let error = #expect(throws: FieldViolation.self) { try JSONObject(message, path: "values") }
      #expect(error?.field == field)
    }
  }

  /// Errors travel in headers, and keys come from the peer.
  @Test func anErrorIsNoLongerThanItsLimit() {
    let key = String(repeating: "ü", count: 100_000)
    let error = #expect(throws: FieldViolation.self) {
      try JSONObject([key: .init()], path: "values")
    }
    #expect(error?.field.hasPrefix("values.üü") == true)
    #expect((error?.field.utf8.count ?? 0) <= FieldViolation.textBytesMax + 6)
  }
}
