import Contracts
import HTTP
import JSON
import Protobuf
import Testing
import Transcoding

@Suite struct ProblemTests {
  private static func details(_ details: [any ProtobufMessage]) -> [UInt8] {
    GoogleRPC.Status(
      details: details.map { detail in
        GoogleProtobuf.AnyMessage(
          typeURL: "type.googleapis.com/\(type(of: detail).fullName)",
          value: detail.serialized())
      }
    ).serialized()
  }

  @Test(arguments: [
    (0, 200), (1, 499), (2, 500), (3, 400), (4, 504), (5, 404), (6, 409), (7, 403), (8, 429),
    (9, 400), (10, 409), (11, 400), (12, 501), (13, 500), (14, 503), (15, 500), (16, 401),
    (17, 500), (-1, 500),
  ])
  func codesHaveTheirStatus(_ code: Int, _ status: Int) {
    #expect(StatusMapping.status(ofCode: code).code == status)
  }

  @Test func detailsBecomeMembers() throws {
    let violations = GoogleRPC.BadRequest(fieldViolations: [
      GoogleRPC.BadRequest.FieldViolation(field: "admin_email", description: "is no address")
    ])
    let info = GoogleRPC.ErrorInfo(
      reason: "BAD_FIELDS", domain: "storeplane", metadata: ["b": "2", "a": "1"])
    let problem = Problem(
      code: 3, message: "no good", details: Self.details([info, violations]), instance: "r-1",
      fieldName: { $0 == "admin_email" ? "adminEmail" : $0 })
    #expect(problem.retryAfterSeconds == nil)
    #expect(
      String(decoding: problem.serialized(), as: UTF8.self)
        == #"{"type":"about:blank","title":"Bad Request","status":400,"detail":"no good","#
        + #""instance":"r-1","code":"INVALID_ARGUMENT","reason":"BAD_FIELDS","domain":"storeplane","#
        + #""metadata":{"a":"1","b":"2"},"#
        + #""errors":[{"field":"adminEmail","description":"is no address"}]}"#)
  }

  @Test(arguments: [
    (Int64(2), Int32(0), 2), (2, 1, 3), (0, 5, 1), (0, 0, 0), (-3, -1, 0), (0, -5, 0),
    (Int64.max, 0, 315_576_000_000),
  ])
  func delaysAreRoundedUp(_ seconds: Int64, _ nanos: Int32, _ wanted: Int) {
    let retry = GoogleRPC.RetryInfo(
      retryDelay: GoogleProtobuf.Duration(seconds: seconds, nanos: nanos))
    let problem = Problem(
      code: 14, message: "later", details: Self.details([retry]), instance: "")
    #expect(problem.retryAfterSeconds == wanted)
    #expect(problem.status == .serviceUnavailable)
  }

  @Test func detailsAreBoundedAndMayBeDamaged() throws {
    let violations = GoogleRPC.BadRequest(
      fieldViolations: (0..<200).map {
        GoogleRPC.BadRequest.FieldViolation(field: "f\($0)", description: "")
      })
    let many = Problem(
      code: 3, message: "", details: Self.details([violations]), instance: "")
    #expect(many.errors.count == 100)
    let whole = Self.details([
      GoogleRPC.ErrorInfo(reason: "R", domain: "d"), GoogleRPC.RetryInfo(), violations,
    ])
    for count in 0..<whole.count {
      let problem = Problem(
        code: 8, message: "", details: Array(whole.prefix(count)), instance: "r")
      #expect(throws: Never.self) { try JSON(parsing: problem.serialized()) }
    }
  }

  @Test func ourOwnErrorsBecomeProblems() throws {
    let error = try #require(
      Contract.error { try Contract.message(#"{"leaf":{"number":"x"}}"#) })
    let problem = Problem(error, instance: "r")
    #expect(problem.status == .badRequest)
    #expect(
      problem.errors == [
        Problem.FieldError(
          field: "leaf.number", description: "expected an integer, found other text")
      ])
    let response = try #require(Contract.error { try Contract.json([8, 1], "Leaf") })
    #expect(Problem(response, instance: "r").status == .internalServerError)
    #expect(Problem(response, instance: "r").errors.isEmpty)
  }
}
