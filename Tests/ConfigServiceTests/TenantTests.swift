import Contracts
import Foundation
import RPC
import RPCCore
import ServiceRuntime
import Testing

@testable import ConfigService

@Suite(.timeLimit(.minutes(2))) struct TenantTests {
  @Test func anAdministratorCreatesATenantAndItsMemberSeesIt() async throws {
    try await withConfig { peers in
      let id = ConfigPeers.newTenantID()
      let created = try await peers.tenants().createTenant(
        .init(tenant: id, displayName: "Acme Ltd"), options: peers.administrator())
      #expect(created.id == id)
      #expect(created.displayName == "Acme Ltd")
      #expect(created.etag == "\"1\"")
      #expect(created.createTime != nil)
      let member = try peers.user(of: id)
      #expect(try await peers.tenants().getTenant(.init(tenant: id), options: member) == created)
      let listed = try await peers.tenants().listTenants(.init(), options: member)
      #expect(listed == .init(tenants: [created]))
      let seen = try await peers.tenants().getTenant(
        .init(tenant: id), options: peers.administrator())
      #expect(seen == created)
    }
  }

  @Test func theEventTellsWhoWhenAndInWhichRequest() async throws {
    try await withConfig { peers in
      let (id, _) = try await peers.newTenant()
      let events = try await peers.events(of: id)
      #expect(events.count == 1)
      let event = try #require(events.first)
      #expect(event.action == "tenant.create")
      #expect(event.tenant == id)
      #expect(event.actor == .init(kind: .user, id: "ada"))
      #expect(event.requestID == "request-of-the-test")
      #expect(event.traceID.count == 32)
      #expect(event.service == "config")
      #expect(event.occurTime != nil)
      #expect(UUID(uuidString: event.id) != nil)
    }
  }

  @Test(arguments: [
    ("203.0.113.9", "203.0.113.9"), ("2001:db8::9", "2001:db8::9"), ("203.0.113.9:80", ""),
    ("203.0.113.9, 10.0.0.1", ""), ("somewhere", ""), ("", ""),
  ])
  func theEventTellsFromWhereThePersonAsked(said: String, address: String) async throws {
    try await withConfig { peers in
      let id = ConfigPeers.newTenantID()
      var options = try peers.administrator()
      options.metadata.append("x-forwarded-for", said)
      _ = try await peers.tenants().createTenant(.init(tenant: id), options: options)
      let actors = try await peers.events(of: id).map(\.actor)
      #expect(actors == [.init(kind: .user, id: "ada", address: address)])
    }
  }

  @Test func membersCreateNone() async throws {
    try await withConfig { peers in
      let error = await refusal {
        try await peers.tenants().createTenant(
          .init(tenant: ConfigPeers.newTenantID()), options: peers.user(of: "acme"))
      }
      #expect(error.code == .permissionDenied)
      #expect(error.errorInfo?.reason == "ADMINISTRATORS_ONLY")
    }
  }

  @Test func aTakenIDIsAConflictAndARepeatedRequestIsNot() async throws {
    try await withConfig { peers in
      let (id, request) = (ConfigPeers.newTenantID(), UUID().uuidString)
      let admin = try peers.administrator()
      let first = try await peers.tenants().createTenant(
        .init(tenant: id, requestID: request), options: admin)
      let again = try await peers.tenants().createTenant(
        .init(tenant: id, requestID: request), options: admin)
      #expect(again == first)
      #expect(try await peers.events(of: id).count == 1)
      for request in ["", UUID().uuidString] {
        let error = await refusal {
          try await peers.tenants().createTenant(
            .init(tenant: id, requestID: request), options: admin)
        }
        #expect(error.code == .alreadyExists)
        #expect(error.errorInfo?.reason == "ALREADY_EXISTS")
      }
      for (tenant, name) in [(ConfigPeers.newTenantID(), ""), (id, "Another name")] {
        let error = await refusal {
          try await peers.tenants().createTenant(
            .init(tenant: tenant, displayName: name, requestID: request), options: admin)
        }
        #expect(error.fieldViolations.first?.field == "request_id")
      }
    }
  }

  @Test func manyAtOnceMakeOneTenant() async throws {
    try await withConfig { peers in
      let (id, admin) = (ConfigPeers.newTenantID(), try peers.administrator())
      let results = await atOnce(8, on: peers.reactor) { _ in
        try await peers.tenants().createTenant(.init(tenant: id), options: admin)
      }
      #expect(results.count { (try? $0.get()) != nil } == 1)
      for case .failure(let error) in results {
        #expect((error as? RPCError)?.code == .alreadyExists)
      }
      #expect(try await peers.events(of: id).count == 1)
    }
  }

  @Test func anotherTenantIsTheSameAsNone() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      let other = ConfigPeers.newTenantID()
      let absent = await refusal {
        try await peers.tenants().getTenant(.init(tenant: other), options: member)
      }
      #expect(absent.code == .notFound)
      _ = try await peers.tenants().createTenant(
        .init(tenant: other), options: peers.administrator())
      let there = await refusal {
        try await peers.tenants().getTenant(.init(tenant: other), options: member)
      }
      // Message and details, byte for byte.
      #expect(there == absent)
    }
  }

  @Test func administratorsPageThroughAll() async throws {
    try await withConfig { peers in
      var made: Set<String> = []
      for _ in 0..<5 { made.insert(try await peers.newTenant().id) }
      let admin = try peers.administrator()
      var (seen, token, pages): ([String], String, Int) = ([], "", 0)
      repeat {
        let page = try await peers.tenants().listTenants(
          .init(pageSize: 2, pageToken: token), options: admin)
        #expect(page.tenants.count <= 2)
        seen += page.tenants.map(\.id)
        token = page.nextPageToken
        pages += 1
      } while !token.isEmpty && pages < 1000
      #expect(seen == seen.sorted())
      #expect(Set(seen).count == seen.count)
      #expect(made.isSubset(of: seen))
    }
  }

  @Test func aMembersPageTokenIsNotAnAdministrators() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      _ = try await peers.newTenant()
      let page = try await peers.tenants().listTenants(
        .init(pageSize: 1), options: peers.administrator())
      #expect(!page.nextPageToken.isEmpty)
      for (token, options) in [(page.nextPageToken, member), ("nonsense", member)] {
        let error = await refusal {
          try await peers.tenants().listTenants(.init(pageToken: token), options: options)
        }
        #expect(error.code == .invalidArgument)
        #expect(error.fieldViolations.map(\.field) == ["page_token"])
        #expect(error.errorInfo?.domain == "storeplane")
      }
    }
  }

  @Test func badIDsAreNamed() async throws {
    try await withConfig { peers in
      let admin = try peers.administrator()
      let bad = await refusal {
        try await peers.tenants().createTenant(.init(tenant: "Not An ID"), options: admin)
      }
      #expect(bad.fieldViolations.map(\.field) == ["tenant"])
      let request = await refusal {
        try await peers.tenants().createTenant(
          .init(tenant: "fine", requestID: "17"), options: admin)
      }
      #expect(request.fieldViolations.map(\.field) == ["request_id"])
      let size = await refusal {
        try await peers.tenants().listTenants(.init(pageSize: -1), options: admin)
      }
      #expect(size.fieldViolations.map(\.field) == ["page_size"])
    }
  }

  @Test func aCallWithoutACallerIsRefused() async throws {
    try await withConfig { peers in
      let none = await refusal { try await peers.tenants().listTenants(.init()) }
      #expect(none.code == .unauthenticated)
      let tenantless = await refusal {
        try await peers.settings().getSettings(.init(), options: peers.administrator())
      }
      #expect(tenantless.errorInfo?.reason == "NO_TENANT")
    }
  }
}
