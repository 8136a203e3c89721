import Contracts
import Descriptors
import HTTP
import Protobuf
import Testing
import Transcoding

@Suite struct RoutingTests {
  private static func outcome(_ method: String, _ path: String) throws -> String {
    switch try Contract.transcoder().match(HTTPMethod(method), path: path) {
    case .notFound: "not found"
    case .methodNotAllowed(let methods): "allow " + methods.map(\.name).joined(separator: ",")
    case .route(let request):
      ([request.route.method.name] + request.variables.map { "\($0.field)=\($0.value)" })
        .joined(separator: " ")
    }
  }

  @Test(arguments: [
    ("GET", "/v1/stores", "ListStores"),
    ("POST", "/v1/stores", "CreateStore"),
    ("GET", "/v1/stores/shoes", "GetStore store=shoes"),
    ("GET", "/v1/stores/shoes:watch", "WatchStore store=shoes"),
    ("POST", "/v1/stores/shoes:retry", "RetryStore store=shoes"),
    ("DELETE", "/v1/stores/a%2Fb%3Awatch", "DeleteStore store=a/b:watch"),
    ("GET", "/v1/stores/a%20%C3%A4+", "GetStore store=a ä+"),
    ("GET", "/v1/stores/a%3Awatch", "GetStore store=a:watch"),
    ("GET", "/v1/stores/a:b:watch", "WatchStore store=a:b"),
    ("GET", "/v1/stores/shoes:nothing", "GetStore store=shoes:nothing"),
    ("GET", "/v1/stores/shoes:retry", "allow POST"),
    ("POST", "/v1/backups/7:test", "TestBackup backup=7"),
    ("DELETE", "/v1/backups/7:test", "allow POST"),
    ("PUT", "/v1/stores/shoes", "allow DELETE,GET,PATCH"),
    ("PATCH", "/v1/stores", "allow GET,POST"),
    ("GET", "/v1/stores/", "not found"),
    ("GET", "/v1/stores/:watch", "GetStore store=:watch"),
    ("GET", "/v1/stores/shoes/", "not found"),
    ("GET", "/v1/Stores", "not found"),
    ("GET", "/", "not found"),
    ("get", "/v1/stores", "allow GET,POST"),
  ])
  func pathsLeadToMethods(_ method: String, _ path: String, _ wanted: String) throws {
    #expect(try Self.outcome(method, path) == wanted)
  }

  @Test(arguments: ["/v1/stores/%", "/v1/stores/%FF", "/v1/stores/..", "v1", "/v1/a b:watch"])
  func malformedPathsAreErrors(_ path: String) throws {
    let transcoder = try Contract.transcoder()
    #expect(throws: HTTPTargetError.self) { try transcoder.match(.get, path: path) }
  }

  // MARK: Rules of other contracts

  /// A service whose one request has the fields a (string), n (int32), m (itself), r (repeated
  /// string), with these rules.
  private static func transcoder(_ rules: [HTTPRule]) throws -> Transcoder {
    func field(_ number: UInt8, _ content: [UInt8]) -> [UInt8] {
      [number << 3 | 2]
        + (content.count < 0x80
          ? [UInt8(content.count)]
          : [UInt8(content.count & 0x7F) | 0x80, UInt8(content.count >> 7)])
        + content
    }
    func text(_ number: UInt8, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }
    func member(_ name: String, _ number: UInt8, _ type: UInt8, label: UInt8 = 1) -> [UInt8] {
      field(
        2, text(1, name) + [3 << 3, number, 4 << 3, label, 5 << 3, type] + text(6, ".t.M"))
    }
    let message = field(
      4,
      text(1, "M") + member("a", 1, 9) + member("n", 2, 5) + member("m", 3, 11)
        + member("r", 4, 9, label: 3))
    let methods = rules.enumerated().flatMap { index, rule -> [UInt8] in
      let verbs = ["GET": UInt8(2), "PUT": 3, "POST": 4, "DELETE": 5, "PATCH": 6]
      let pattern =
        verbs[rule.method].map { text($0, rule.path) }
        ?? field(8, text(1, rule.method) + text(2, rule.path))
      let http = pattern + text(7, rule.body) + text(12, rule.responseBody)
      // The key of google.api.http: 72295728, length-prefixed.
      let options: [UInt8] = [0x82, 0xD3, 0xE4, 0x93, 0x02, UInt8(http.count)] + http
      return field(
        2, text(1, "Do\(index)") + text(2, ".t.M") + text(3, ".t.M") + field(4, options))
    }
    let file = text(1, "t.proto") + text(2, "t") + message + field(6, text(1, "S") + methods)
    return try Transcoder(
      DescriptorPool(serialized: field(1, file + text(12, "proto3"))))
  }

  private static func error(_ rules: HTTPRule...) -> RouteError? {
    do {
      _ = try transcoder(rules)
      return nil
    } catch {
      return error as? RouteError
    }
  }

  @Test func conflictsNameBothMethods() {
    let error = Self.error(
      HTTPRule(method: "GET", path: "/v1/{a}:x"), HTTPRule(method: "GET", path: "/v1/{n}:x"))
    #expect(error?.method == "t.S.Do1")
    #expect(error?.binding == "GET /v1/{n}:x")
    #expect(error?.reason == "matches the same paths as t.S.Do0, /v1/{a}:x")
    let compound = Self.error(
      HTTPRule(method: "GET", path: "/{a=p/*}"), HTTPRule(method: "GET", path: "/p/{n}"))
    #expect(compound?.reason.contains("matches the same paths") == true)
    #expect(
      Self.error(
        HTTPRule(method: "GET", path: "/v1/{a}"), HTTPRule(method: "POST", path: "/v1/{n}")) == nil)
  }

  @Test(arguments: [
    (HTTPRule(method: "GET", path: "v1"), "does not start"),
    (HTTPRule(method: "GET", path: "/"), "empty or invalid segment"),
    (HTTPRule(method: "GET", path: "/v1//a"), "empty or invalid segment"),
    (HTTPRule(method: "GET", path: "/v1/{a"), "\"{\" without"),
    (HTTPRule(method: "GET", path: "/v1/{a}b"), "behind a variable"),
    (HTTPRule(method: "GET", path: "/v1/{a-b}"), "invalid variable"),
    (HTTPRule(method: "GET", path: "/v1/{a=**}/b"), "before its end"),
    (HTTPRule(method: "GET", path: "/v1/{a}/{a}"), "twice"),
    (HTTPRule(method: "GET", path: "/v1/{a}:"), "invalid verb"),
    (HTTPRule(method: "GET", path: "/v1/{x}"), "{x} is not a singular scalar"),
    (HTTPRule(method: "GET", path: "/v1/{m}"), "{m} is not a singular scalar"),
    (HTTPRule(method: "GET", path: "/v1/{r}"), "{r} is not a singular scalar"),
    (HTTPRule(method: "GET", path: "/v1/{a.n}"), "{a.n} is not a singular scalar"),
    (HTTPRule(method: "POST", path: "/v1", body: "x"), "no field x for the body"),
    (HTTPRule(method: "POST", path: "/v1/{m.a}", body: "m"), "part of the body"),
    (HTTPRule(method: "GET", path: "/v1", responseBody: "m"), "response_body"),
    (HTTPRule(method: "*", path: "/v1"), "names no HTTP method"),
  ])
  func rulesThatMakeNoRouteAreErrors(_ rule: HTTPRule, _ reason: String) {
    let error = Self.error(rule)
    #expect(error?.reason.contains(reason) == true, "\(String(describing: error))")
  }

  @Test func literalsAndCompoundVariables() throws {
    let transcoder = try Self.transcoder([
      HTTPRule(method: "GET", path: "/v1/{a}"),
      HTTPRule(method: "GET", path: "/v1/list"),
      HTTPRule(method: "POST", path: "/v1/{a=projects/*}/x"),
      HTTPRule(method: "GET", path: "/files/{a=**}"),
      HTTPRule(method: "LOCK", path: "/v1/{m.m.a}/{n}"),
    ])
    func outcome(_ method: String, _ path: String) throws -> [String] {
      switch try transcoder.match(HTTPMethod(method), path: path) {
      case .route(let request):
        [request.route.method.name] + request.variables.map { "\($0.field)=\($0.value)" }
      case .methodNotAllowed(let methods): methods.map(\.name)
      case .notFound: []
      }
    }
    #expect(try outcome("GET", "/v1/list") == ["Do1"])
    #expect(try outcome("GET", "/v1/lists") == ["Do0", "a=lists"])
    #expect(try outcome("POST", "/v1/list") == ["GET"])
    #expect(try outcome("POST", "/v1/projects/p%2F%20q/x") == ["Do2", "a=projects/p%2F q"])
    #expect(try outcome("GET", "/files/a/b%2Fc/d") == ["Do3", "a=a/b%2Fc/d"])
    #expect(try outcome("GET", "/files") == ["Do3", "a="])
    guard case .route(let lock) = try transcoder.match(HTTPMethod("LOCK"), path: "/v1/x/-7") else {
      Issue.record("no route")
      return
    }
    let message = try lock.message(query: "a=top", body: [])
    #expect(
      try String(decoding: lock.route.responseJSON(message), as: UTF8.self)
        == #"{"a":"top","n":-7,"m":{"a":"","n":0,"m":{"a":"x","n":0,"r":[]},"r":[]},"r":[]}"#)
  }

  @Test func clientStreamingHasNoRoute() throws {
    let transcoder = try Contract.transcoder()
    #expect(transcoder.routes.allSatisfy { !$0.method.isClientStreaming })
    #expect(transcoder.routes.contains { $0.method.isServerStreaming })
    let echo = try Transcoder(
      transcoder.pool, services: ["storeplane.testing.v1.EchoService"])
    #expect(
      echo.routes.map(\.template) == ["/v1/echo/{text}", "/v1/echo", "/v1/echo/{text}:expand"])
  }
}
