import Observability
import Testing

/// W3C Trace Context, and the cases of its conformance suite that fit here.
@Suite struct TraceContextTests {
  private static let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

  @Test func parsesAndFormats() throws {
    let trace = try #require(TraceContext(traceparent: Self.good))
    #expect(trace.traceID.high == 0x0af7_6519_16cd_43dd)
    #expect(trace.traceID.low == 0x8448_eb21_1c80_319c)
    #expect(trace.traceID.description == "0af7651916cd43dd8448eb211c80319c")
    #expect(trace.parentID == 0xb7ad_6b71_6920_3331)
    #expect(trace.isSampled)
    #expect(trace.traceparent == Self.good)
  }

  @Test func onlyTheSampledFlagIsKnown() throws {
    let head = Self.good.dropLast(2)
    #expect(try #require(TraceContext(traceparent: head + "00")).isSampled == false)
    #expect(try #require(TraceContext(traceparent: head + "fe")).isSampled == false)
    #expect(try #require(TraceContext(traceparent: head + "ff")).traceparent == head + "01")
  }

  @Test(arguments: [
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-the-future-brings",
    "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
  ])
  func laterVersionsAreReadAsZero(header: String) {
    #expect(TraceContext(traceparent: header)?.traceparent == Self.good)
  }

  @Test(arguments: [
    "", "00", "-",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-B7AD6B7169203331-01",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
    "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
    "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01ab",
    " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
    "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + String(repeating: "-", count: 256),
    "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
  ])
  func anythingElseStartsANewTrace(header: String) {
    #expect(TraceContext(traceparent: header, tracestate: "a=1") == nil)
  }

  @Test func aBadStateLeavesTheParent() throws {
    let trace = try #require(TraceContext(traceparent: Self.good, tracestate: "not a state"))
    #expect(trace.state == .empty)
    #expect(trace.traceparent == Self.good)
  }

  @Test func aChildKeepsTraceAndState() throws {
    var generator = SystemRandomNumberGenerator()
    let trace = try #require(TraceContext(traceparent: Self.good, tracestate: "a=1,b=2"))
    let child = trace.child(using: &generator)
    #expect(child.traceID == trace.traceID)
    #expect(child.parentID != trace.parentID)
    #expect(child.isSampled)
    #expect(child.state.text == "a=1,b=2")
  }

  /// Zeros are skipped, since a trace must not have them.
  @Test func aRootIsNeverZero() {
    struct ZeroFirst: RandomNumberGenerator {
      var words: [UInt64] = [0, 0, 0, 5, 0, 0, 7, 8]
      mutating func next() -> UInt64 { words.isEmpty ? 9 : words.removeFirst() }
    }
    var generator = ZeroFirst()
    let trace = TraceContext.root(isSampled: true, using: &generator)
    #expect(
      trace.traceparent == "00-00000000000000000000000000000007-0000000000000008-01"
        || trace.parentID != 0)
    #expect(TraceContext(traceparent: trace.traceparent) == trace)
  }
}

@Suite struct TraceStateTests {
  @Test(arguments: [
    ("foo=1", "foo=1"),
    ("foo=1,bar=2", "foo=1,bar=2"),
    ("foo=1 \t , \t bar=2, \t baz=3", "foo=1,bar=2,baz=3"),
    ("foo=1,,,bar=2,", "foo=1,bar=2"),
    ("", ""),
    (" ", ""),
    ("foo= 1", "foo= 1"),
    ("0tenant@vendor=x", "0tenant@vendor=x"),
    ("a-_*/0=!~", "a-_*/0=!~"),
  ])
  func validListsAreHandedOn(header: String, sent: String) {
    #expect(TraceState(header)?.text == sent)
  }

  @Test(arguments: [
    "foo", "foo=", "=1", "foo =1", "FOO=1", "0foo=1", "foo@=1", "@foo=1", "foo@@bar=1",
    "foo@bar@baz=1", "foo@0bar=1", "foo=1=2", "foo=a\u{7f}", "foo=é", "foo=1,foo=2", "foo=1 bar=2",
    "foo.1=2",
  ])
  func invalidListsAreDropped(header: String) {
    #expect(TraceState(header) == nil)
  }

  @Test func keyAndValueLengths() {
    let a = { String(repeating: "a", count: $0) }
    #expect(TraceState("\(a(256))=1") != nil)
    #expect(TraceState("\(a(257))=1") == nil)
    #expect(TraceState("\(a(241))@\(a(14))=1") != nil)
    #expect(TraceState("\(a(242))@v=1") == nil)
    #expect(TraceState("t@\(a(15))=1") == nil)
    #expect(TraceState("k=\(a(256))") != nil)
    #expect(TraceState("k=\(a(257))") == nil)
  }

  @Test func thirtyTwoEntries() {
    let list = { (count: Int) in (0..<count).map { "k\($0)=1" }.joined(separator: ",") }
    #expect(TraceState(list(32))?.text == list(32))
    #expect(TraceState(list(33)) == nil)
  }

  @Test func longEntriesGoFirstThenTheLast() {
    let long = "long=" + String(repeating: "x", count: 200)
    let short = { (index: Int) in "k\(index)=" + String(repeating: "y", count: 90) }
    let header = ([short(0), long] + (1...4).map(short)).joined(separator: ",")
    #expect(
      TraceState(header)?.text == (0...4).map(short).joined(separator: ","), "the long one goes")
    let many = (0...9).map(short).joined(separator: ",")
    #expect(TraceState(many)?.text == (0...4).map(short).joined(separator: ","), "the last ones go")
    #expect(TraceState(String(repeating: ",", count: TraceState.inputBytesMaximum + 1)) == nil)
  }
}
