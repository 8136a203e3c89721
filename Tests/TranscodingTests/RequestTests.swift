import Contracts
import HTTP
import JSON
import Protobuf
import Testing
import Transcoding

/// Requests put together from path, query and body.
@Suite struct RequestTests {
  private static func routed(_ method: HTTPMethod, _ path: String) throws -> RoutedRequest {
    guard case .route(let request) = try Contract.transcoder().match(method, path: path) else {
      throw NoRoute()
    }
    return request
  }

  private struct NoRoute: Error {}

  private static func message(
    _ method: HTTPMethod, _ path: String, query: String? = nil, body: String = ""
  ) throws -> [UInt8] {
    try routed(method, path).message(query: query, body: Array(body.utf8))
  }

  @Test func queriesSetTheFieldsThatAreLeft() throws {
    let list = try ProvisionerV1.ListStoresRequest(
      serialized: Self.message(
        .get, "/v1/stores", query: "states=STATE_READY&pageSize=20&states=4&page_token=a%2Bb+c"))
    #expect(list.states == [.ready, .failed])
    #expect(list.pageSize == 20)
    #expect(list.pageToken == "a+b c")
    let delete = try ProvisionerV1.DeleteStoreRequest(
      serialized: Self.message(.delete, "/v1/stores/shoes", query: "etag=x"))
    #expect(delete == ProvisionerV1.DeleteStoreRequest(store: "shoes", etag: "x"))
  }

  @Test func bodiesAreTheRequestOrAFieldOfIt() throws {
    let create = try ProvisionerV1.CreateStoreRequest(
      serialized: Self.message(
        .post, "/v1/stores",
        body: #"{"name":"shoes","engine":"ENGINE_MEDUSA","parameters":{"adminEmail":"a@b.c"}}"#))
    #expect(create.engine == .medusa)
    #expect(create.parameters?.adminEmail == "a@b.c")
    let update = try ConfigV1.UpdateSettingsRequest(
      serialized: Self.message(
        .patch, "/v1/settings", query: "paths=darkMode&paths=a.b",
        body: #"{"values":{"a":1},"etag":"e"}"#))
    #expect(update.settings?.etag == "e")
    #expect(update.paths == ["darkMode", "a.b"])
    let retry = try ProvisionerV1.RetryStoreRequest(
      serialized: Self.message(.post, "/v1/stores/a%2Fb:retry"))
    #expect(retry.store == "a/b")
    let same = try ProvisionerV1.RetryStoreRequest(
      serialized: Self.message(
        .post, "/v1/stores/a:retry", body: #"{"store":"a","request_id":"r"}"#))
    #expect(same == ProvisionerV1.RetryStoreRequest(store: "a", requestID: "r"))
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    let method: HTTPMethod
    let path: String
    var query: String?
    var body = ""
    let error: String

    var testDescription: String { "\(method) \(path)?\(query ?? "") \(body)" }
  }

  @Test(arguments: [
    Bad(
      method: .get, path: "/v1/stores", query: "pageSise=1",
      error: "pageSise in the query: is not a field of "
        + "storeplane.provisioner.v1.ListStoresRequest; did you mean \"pageSize\"?"),
    Bad(
      method: .get, path: "/v1/stores", query: "page_size=x",
      error: "page_size in the query: expected an integer, found other text"),
    Bad(
      method: .get, path: "/v1/stores", query: "states=STATE_READY&states=Ready",
      error: "states[1] in the query: is not a value of "),
    Bad(
      method: .get, path: "/v1/stores", query: "pageSize=1&pageSize=2",
      error: "pageSize in the query: is given 2 times but takes one value"),
    Bad(
      method: .get, path: "/v1/stores", query: "pageSize=1&page_size=2",
      error: "page_size in the query: is there twice"),
    Bad(
      method: .get, path: "/v1/stores", query: "a=%",
      error: "the query: % at byte 0"),
    Bad(
      method: .get, path: "/v1/stores", query: "pageSize.x=1",
      error: "pageSize.x in the query: pageSize has no fields"),
    Bad(
      method: .get, path: "/v1/stores/a", query: "store=b",
      error: "store in the query: is set by the path; leave it out of the query"),
    Bad(
      method: .get, path: "/v1/stores", body: "{}",
      error: "the body: must be empty; send the fields in the query"),
    Bad(
      method: .post, path: "/v1/stores", query: "name=a",
      error: "name in the query: is not allowed in the query; send it in the body"),
    Bad(
      method: .patch, path: "/v1/settings", query: "settings=a",
      error: "settings in the query: is the body; leave it out of the query"),
    Bad(
      method: .patch, path: "/v1/settings", body: #"{"etg":""}"#,
      error: "etg in the body: is not a field of storeplane.config.v1.Settings; "
        + "did you mean \"etag\"?"),
    Bad(
      method: .patch, path: "/v1/settings", body: "[]",
      error: "the body: expected an object, found an array"),
    Bad(
      method: .post, path: "/v1/stores/a:retry", body: #"{"store":"b"}"#,
      error: "store in the body: differs from the path, which sets it; leave it out of the body"),
    Bad(
      method: .post, path: "/v1/stores/a:retry", body: "3",
      error: "the body: expected an object, found a number"),
    Bad(
      method: .post, path: "/v1/stores", body: #"{"name":"a","name":"b"}"#,
      error: "name in the body: byte 12: the key occurs twice in its object"),
    Bad(
      method: .post, path: "/v1/stores", body: #"{"parameters":{"title":}}"#,
      error: "parameters.title in the body: byte 23: expected a value"),
    Bad(
      method: .post, path: "/v1/stores", body: #"{"name":"a"#,
      error: "name in the body: byte 8: the string has no closing quote"),
  ])
  func badRequestsAreRefused(_ bad: Bad) throws {
    let error = try #require(
      Contract.error {
        try Self.message(bad.method, bad.path, query: bad.query, body: bad.body)
      })
    #expect(error.description.hasPrefix(bad.error), "\(error)")
  }

  @Test func documentsAreBounded() throws {
    var options = TranscodingOptions()
    options.json.bytesMax = 10
    guard
      case .route(let request) = try Contract.transcoder(options: options)
        .match(.post, path: "/v1/stores")
    else {
      Issue.record("no route")
      return
    }
    let error = Contract.error {
      try request.message(query: nil, body: Array(#"{"name":"shoes"}"#.utf8))
    }
    #expect(error?.reason.contains("more than 10 bytes") == true)
  }

  @Test func fieldsAreNamedAsTheClientKnowsThem() throws {
    let create = try Self.routed(.post, "/v1/stores").route
    #expect(create.clientField("parameters.admin_email") == "parameters.adminEmail")
    #expect(create.clientField("parameters.values.a_b") == "parameters.values.a_b")
    #expect(create.clientField("no_such.thing") == "no_such.thing")
    let update = try Self.routed(.patch, "/v1/settings").route
    #expect(update.clientField("settings.update_time") == "updateTime")
    #expect(update.clientField("paths[1]") == "paths[1]")
    #expect(update.clientField("settings") == "settings")
  }
}
