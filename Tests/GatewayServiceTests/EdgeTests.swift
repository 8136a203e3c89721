import Foundation
import GatewayService
import JSON
import Observability
import Reactor
import Resilience
import ServiceRuntime
import TestKit
import Testing

extension GatewayTests {
  @Suite struct Edge {
    // MARK: Transcoding

    @Test func aCallGoesThroughAndComesBack() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("GET", "/v1/stores/shop", token: gateway.token())
        #expect(reply.status == 200)
        #expect(reply.fields["content-type"] == "application/json")
        #expect(reply.fields["cache-control"] == "no-store")
        #expect(reply["name"] == "shop")
        #expect(reply["tenant"] == "acme")
        #expect(reply["state"] == "STATE_READY")
        #expect(reply["revision"] == "3")
      }
    }

    @Test func pathQueryAndBodyBecomeOneRequest() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let list = try gateway.call(
          "GET", "/v1/stores?states=STATE_READY&states=STATE_FAILED&pageSize=7", token: token)
        #expect(list["nextPageToken"] == "7")
        #expect(list.json?.object?["stores"]?.array?.count == 2)
        let removed = try gateway.call("DELETE", "/v1/stores/shop?etag=abc", token: token)
        #expect(removed["id"] == "abc")
        let retried = try gateway.call("POST", "/v1/stores/shop:retry", token: token, body: "{}")
        #expect(retried["id"] == "retry")
        #expect(retried["store"] == "shop")
        let settings = try gateway.call(
          "PATCH", "/v1/settings?paths=a.darkMode&paths=%60b%20c%60", token: token,
          body: #"{"values": {"a": {"b": ["c", true, null]}}}"#)
        #expect(settings.status == 200)
        #expect(settings["etag"] == "a.darkMode+`b c`")
        #expect(settings.json?.object?["values"] == ["a": ["b": ["c", true, nil]]])
      }
    }

    @Test(arguments: [
      (#"{"name": "x", "#, 400, []),
      (#"{"name": "x"} {}"#, 400, []),
      (#"{"name": "x", "nam": "y"}"#, 400, ["nam"]),
      (#"{"name": 5}"#, 400, ["name"]),
      (#"{"name": "x", "engine": "ENGINE_SHOPIFY"}"#, 400, ["engine"]),
      (#"{"name": "x", "parameters": {"title": ["a"]}}"#, 400, ["parameters.title"]),
      (#"{"name": "x", "parameters": {"values": 7}}"#, 400, ["parameters.values"]),
      (#"{"name": "x", "name": "y"}"#, 400, ["name"]),
      (#"[1]"#, 400, []),
      ("{\"name\": \"a\u{0}b\"}", 400, nil),
    ])
    func whatIsWrongWithABodyIsNamed(
      body: String, status: Int, fields: [String]?
    ) async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("POST", "/v1/stores", token: gateway.token(), body: body)
        #expect(reply.status == status)
        #expect(reply.fields["content-type"] == "application/problem+json")
        #expect(reply["code"] == "INVALID_ARGUMENT")
        #expect(reply["instance"] == reply.fields["x-request-id"])
        #expect(reply["detail"]?.isEmpty == false)
        if let fields { #expect(reply.wrongFields == fields) }
        #expect(try await gateway.inside { $0.provisioner.sightings.callers.isEmpty })
      }
    }

    @Test func deepNestingIsRefused() async throws {
      try await withGateway { gateway in
        let (open, close) = (#"{"a":"#, "}")
        let deep =
          String(repeating: open, count: 5000) + "1" + String(repeating: close, count: 5000)
        let reply = try gateway.call(
          "POST", "/v1/stores", token: gateway.token(),
          body: #"{"name": "x", "parameters": {"values": \#(deep)}}"#)
        #expect(reply.status == 400)
        #expect(reply["code"] == "INVALID_ARGUMENT")
        #expect(reply.wrongFields.count == 1)
        #expect(reply.wrongFields.first?.hasPrefix("parameters.values.a.a.a") == true)
      }
    }

    @Test func aWrongQueryIsNamed() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let unknown = try gateway.call("GET", "/v1/stores?pagesize=1", token: token)
        #expect(unknown.status == 400)
        #expect(unknown.wrongFields == ["pagesize"])
        let wrong = try gateway.call("GET", "/v1/stores?pageSize=many", token: token)
        #expect(wrong.status == 400)
        #expect(wrong.wrongFields == ["pageSize"])
        let foreign = try gateway.call("GET", "/v1/stores?pageToken=x", token: token)
        #expect(foreign.status == 400)
        #expect(foreign.wrongFields == ["pageToken"])
        #expect(try gateway.call("GET", "/v1/stores?x=%zz", token: token).status == 400)
        #expect(try gateway.call("GET", "/v1/stores/%ff", token: token).status == 400)
      }
    }

    @Test func aServicesFieldIsNamedAsTheClientKnowsIt() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call(
          "PATCH", "/v1/settings", token: gateway.token(), body: #"{"etag": "old"}"#)
        #expect(reply.status == 400)
        #expect(reply.wrongFields == ["etag"])
      }
    }

    // MARK: Paths, methods, bodies

    @Test func unknownPathsAndMethods() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let unknown = try gateway.call("GET", "/v1/nothing", token: token)
        #expect(unknown.status == 404)
        #expect(unknown["code"] == "NOT_FOUND")
        let method = try gateway.call("PUT", "/v1/stores", token: token, body: "{}")
        #expect(method.status == 405)
        #expect(method.fields["allow"] == "GET, POST")
        // Methods that no rule shows are not to be reached by their names either.
        for path in [
          "/storeplane.config.v1.SecretService/AccessSecret",
          "/storeplane.testing.v1.EchoService/Echo",
        ] {
          #expect(try gateway.call("POST", path, token: token, body: "{}").status == 404)
        }
      }
    }

    @Test func bodiesThatAreTooLongOrOfAnotherKind() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let long = try RawClient(port: gateway.port)
        try long.send(
          "POST /v1/stores HTTP/1.1\r\nHost: g\r\nConnection: close\r\nAuthorization: Bearer \(token)"
            + "\r\nContent-Type: application/json\r\nContent-Length: 1048577\r\n\r\n")
        let refused = HTTPReply(try long.readToEnd())
        #expect(refused.status == 413)
        #expect(refused["detail"] == "the body has more than 1048576 bytes (bodyBytesMax)")
        let chunked = try RawClient(port: gateway.port)
        try chunked.send(
          RawClient.request(
            "POST", "/v1/stores", token: token,
            headers: ["Content-Type": "application/json", "Transfer-Encoding": "chunked"],
            closes: true))
        let piece = "10000\r\n" + String(repeating: " ", count: 1 << 16) + "\r\n"
        for _ in 0..<17 { try chunked.send(piece) }
        #expect(HTTPReply(try chunked.readToEnd()).status == 413)
        let text = try gateway.call(
          "POST", "/v1/stores", token: token, headers: ["Content-Type": "text/plain"], body: "{}")
        #expect(text.status == 415)
        let charset = try gateway.call(
          "POST", "/v1/stores/x:retry", token: token,
          headers: ["Content-Type": "application/json; charset=utf-8"], body: "{}")
        #expect(charset.status == 200)
        let needless = try gateway.call("GET", "/v1/stores/x", token: token, body: "{}")
        #expect(needless.status == 400)
      }
    }

    @Test func aBodyHasTheTimeOfItsRequest() async throws {
      try await withGateway { gateway in
        let slow = try RawClient(port: gateway.port)
        try slow.send(
          RawClient.request(
            "POST", "/v1/stores", token: try gateway.token(),
            headers: [
              "Content-Type": "application/json", "Content-Length": "20",
              "X-Request-Timeout": "0.2",
            ], closes: true) + #"{"name": "#)
        let reply = HTTPReply(try slow.readToEnd())
        #expect(reply.status == 408)
        #expect(reply["detail"] == "the body did not come in time")
      }
    }

    @Test(arguments: [
      "POST /v1/stores HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST /v1/stores HTTP/1.1\r\nHost: g\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      "GET /v1/stores HTTP/1.1\nHost: g\n\n",
      "GET /v1/stores HTTP/1.1\r\nHost: g\r\nX-A: b\r\n c\r\n\r\n",
      "GET /v1/stores HTTP/1.1\r\nHost : g\r\n\r\n",
      "GET /v1/stores HTTP/1.1\r\nHost: g\r\nHost: h\r\n\r\n",
    ])
    func smuggledRequestsAreRefusedAndTheConnectionClosed(request: String) async throws {
      try await withGateway { gateway in
        let probe = try RawClient(port: gateway.port)
        try probe.send(request + "GET /.well-known/jwks.json HTTP/1.1\r\nHost: g\r\n\r\n")
        let text = try probe.readToEnd()
        #expect(HTTPReply(text).status == 400)
        #expect(HTTPReply(text).fields["connection"] == "close")
        #expect(HTTPReply(text)["detail"]?.isEmpty == false)
        #expect(text.components(separatedBy: "HTTP/1.1 ").count == 2, "one answer, then the end")
      }
    }

    // MARK: What travels along

    @Test func theRequestIdTravelsToTheServiceAndBack() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let reply = try gateway.call(
          "GET", "/v1/stores/x", token: token,
          headers: ["X-Request-Id": "my-request.1", "traceparent": trace])
        #expect(reply.fields["x-request-id"] == "my-request.1")
        let strange = try gateway.call(
          "GET", "/v1/stores/x", token: token, headers: ["X-Request-Id": "a b"])
        let made = try #require(strange.fields["x-request-id"])
        #expect(made.count == 32)
        let seen = try await gateway.inside { parts in
          let sightings = parts.provisioner.sightings
          return (sightings.requestIDs, sightings.traceparents, sightings.callers)
        }
        #expect(seen.0 == ["my-request.1", made])
        #expect(seen.1[0]?.hasPrefix("00-0af7651916cd43dd8448eb211c80319c-") == true)
        #expect(seen.1[0] != trace)
        #expect(seen.2.map { $0?.address } == ["127.0.0.1", "127.0.0.1"])
      }
    }

    @Test func theServiceLearnsTheCallerFromATokenOfItsOwn() async throws {
      try await withGateway { gateway in
        let token = try gateway.token(subject: "someone", roles: ["admin", "member"])
        for _ in 0..<2 {
          _ = try gateway.call("GET", "/v1/stores/x", token: token)
        }
        #expect(try gateway.call("GET", "/v1/settings", token: token).status == 200)
        gateway.clock.advance(by: .seconds(30))
        _ = try gateway.call("GET", "/v1/stores/x", token: token)
        let (callers, authorizations, other) = try await gateway.inside { parts in
          (
            parts.provisioner.sightings.callers, parts.provisioner.sightings.authorizations,
            parts.settings.sightings.authorizations
          )
        }
        // The interceptor verified issuer, audience, type, key and lifetime.
        let caller = Caller(
          subject: "someone", tenant: "acme", roles: ["admin", "member"], address: "127.0.0.1")
        #expect(callers == [caller, caller, caller])
        #expect(authorizations[0] == authorizations[1], "used again for half of its life")
        #expect(authorizations[1] != authorizations[2])
        #expect(other[0] != authorizations[0], "each service has its own")
        #expect(authorizations.allSatisfy { $0?.contains(token) == false })
      }
    }

    @Test func theDeadlineTravels() async throws {
      try await withGateway { gateway in
        let token = try gateway.token()
        _ = try gateway.call("GET", "/v1/stores/x", token: token)
        _ = try gateway.call(
          "GET", "/v1/stores/x", token: token, headers: ["X-Request-Timeout": "2.5"])
        _ = try gateway.call(
          "GET", "/v1/stores/x", token: token, headers: ["X-Request-Timeout": "9999"])
        let deadlines = try await gateway.inside { $0.provisioner.sightings.deadlines }
        #expect(deadlines[0] > .seconds(20) && deadlines[0] <= .seconds(30))
        #expect(deadlines[1] > .zero && deadlines[1] <= .seconds(2.5))
        #expect(deadlines[2] > .seconds(60) && deadlines[2] <= .seconds(120))
        for bad in ["0", "-1", "soon", "nan", "inf", "1e999"] {
          let reply = try gateway.call(
            "GET", "/v1/stores/x", token: token, headers: ["X-Request-Timeout": bad])
          #expect(reply.status == 400, "\(bad)")
        }
      }
    }

    // MARK: What services answer

    @Test func anotherTenantsStoreIsAnAbsentOne() async throws {
      try await withGateway { gateway in
        func answer(to tenant: String) throws -> HTTPReply {
          try gateway.call(
            "GET", "/v1/stores/private", token: gateway.token(tenant: tenant),
            headers: ["X-Request-Id": "same"])
        }
        let absent = try answer(to: "other")
        #expect(absent.status == 404)
        #expect(absent["detail"] == "store 'private' does not exist")
        let created = try gateway.call(
          "POST", "/v1/stores", token: gateway.token(tenant: "acme"),
          body: #"{"name": "private", "engine": "ENGINE_WOOCOMMERCE"}"#)
        #expect(created.status == 200)
        #expect(try answer(to: "acme").status == 200)
        let foreign = try answer(to: "other")
        #expect(foreign.status == 404)
        #expect(foreign.body == absent.body)
        // Each asks as a user of its own, of whose limit as much is left.
        #expect(
          foreign.fields.filter { $0.key != "date" } == absent.fields.filter { $0.key != "date" })
      }
    }

    @Test func aServiceThatIsDownIsUnavailable() async throws {
      var options = TestGateway.Options()
      options.isCutOff = true
      try await withGateway(options) { gateway in
        let reply = try gateway.call("GET", "/v1/stores/x", token: gateway.token())
        #expect(reply.status == 503)
        #expect(reply["code"] == "UNAVAILABLE")
        #expect(reply["detail"] == "the provisioner service cannot be reached; try again")
        #expect(reply.fields["retry-after"] == "1")
        #expect(!reply.body.contains("127.0.0.1"))
      }
    }

    @Test func aServiceThatIsTooSlowIsATimeout() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call(
          "GET", "/v1/stores/slow", token: gateway.token(), headers: ["X-Request-Timeout": "0.3"])
        #expect(reply.status == 504)
        #expect(reply["code"] == "DEADLINE_EXCEEDED")
      }
    }

    @Test func aServiceThatFailsTellsNothing() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("GET", "/v1/stores/crash", token: gateway.token())
        #expect(reply.status == 500)
        #expect(reply["detail"] == "internal error")
        #expect(!reply.body.contains("Crash"))
      }
    }

    @Test func aCallerWithoutATenantIsToldSo() async throws {
      try await withGateway { gateway in
        let reply = try gateway.call("GET", "/v1/stores/x", token: gateway.token(tenant: nil))
        #expect(reply.status == 400)
        #expect(reply["code"] == "FAILED_PRECONDITION")
      }
    }

    // MARK: The log and the metrics

    @Test func requestsAreCounted() async throws {
      try await withGateway { gateway in
        _ = try gateway.call("GET", "/v1/stores/x", token: gateway.token())
        _ = try gateway.call("GET", "/v1/stores/y", token: gateway.token())
        _ = try gateway.call("GET", "/v1/anything")
        let text = try await gateway.inside {
          String(decoding: $0.metrics.exposition(), as: UTF8.self)
        }
        #expect(
          text.contains(
            #"gateway_requests_total{route="/v1/stores/{store}",method="GET",status="200"} 2"#))
        #expect(
          text.contains(#"gateway_requests_total{route="none",method="none",status="404"} 1"#))
        #expect(text.contains("gateway_requests_in_progress 0"))
      }
    }

    @Test func everyRequestHasOneLineWithoutItsSecrets() async throws {
      let lines = LogLines()
      var options = TestGateway.Options()
      options.logger = lines.logger
      try await withGateway(options) { gateway in
        let name = try await gateway.addUser()
        let login = try gateway.login(name)
        let token = try #require(
          login.json?.object?["tokens"]?.object?["accessToken"]?.string)
        _ = try gateway.call("GET", "/v1/stores/x?etag=s3cret", token: token)
        let written = lines.all
        #expect(written.count { $0.hasPrefix("request ") } == 2)
        #expect(
          written.contains { $0.contains("route=/v1/auth/login") && $0.contains("status=200") })
        #expect(written.contains { $0.contains("tenant=acme") && $0.contains("status=400") })
        for secret in [TestGateway.password, token, "s3cret"] {
          #expect(!written.contains { $0.contains(secret) })
        }
      }
    }
  }
}
