import Contracts
import RPC
import RPCCore
import ServiceRuntime
import Testing

@testable import ConfigService

@Suite(.timeLimit(.minutes(2))) struct SettingsTests {
  private func update(
    _ peers: ConfigPeers, _ values: GoogleProtobuf.Struct, etag: String = "",
    paths: [String] = [], _ options: CallOptions
  ) async throws -> ConfigV1.Settings {
    try await peers.settings().updateSettings(
      .init(settings: .init(values: values, etag: etag), paths: paths), options: options)
  }

  @Test func startEmptyAndKeepWhatIsSet() async throws {
    try await withConfig { peers in
      let (id, member) = try await peers.newTenant()
      let empty = try await peers.settings().getSettings(.init(), options: member)
      #expect(empty.values?.fields.isEmpty == true)
      #expect(empty.etag == "\"0\"")
      #expect(empty.updateTime == nil)
      let values: GoogleProtobuf.Struct = [
        "theme": "dark", "limits": ["stores": 5, "ratio": 0.25], "tags": ["a", true, nil],
        "large": 1e300,
      ]
      let set = try await update(peers, values, etag: empty.etag, member)
      #expect(set.values == values)
      #expect(set.etag == "\"1\"")
      #expect(try await peers.settings().getSettings(.init(), options: member) == set)
      let events = try await peers.events(of: id).filter { $0.action == "settings.update" }
      #expect(events.count == 1)
      #expect(
        events.first?.details == [
          "revision": 1, "changed": ["large", "limits", "tags", "theme"],
        ])
    }
  }

  @Test func anEventOfManyChangesIsOneThatAuditTakes() async throws {
    try await withConfig { peers in
      let (id, member) = try await peers.newTenant()
      var values: GoogleProtobuf.Struct = [:]
      // Six characters each as JSON.
      let tail = String(repeating: "\u{1}", count: 250)
      for number in 100..<160 { values["\(number)\(tail)"] = 1 }
      _ = try await update(peers, values, member)
      let events = try await peers.events(of: id).filter { $0.action == "settings.update" }
      let details = try #require(events.first?.details)
      guard case .listValue(let told) = details["changed"]?.kind else {
        Issue.record("nothing is told")
        return
      }
      #expect(told.values.count == 5)
      _ = try AuditV1.Event.json(details: details, path: "details")
    }
  }

  @Test func aPatchChangesWhatThePathsName() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      _ = try await update(peers, ["a": ["x": 1, "y": 2], "b": 3], member)
      let patched = try await update(
        peers, ["a": ["x": 9], "b": 9], paths: ["a.x", "a.y"], member)
      #expect(patched.values == ["a": ["x": 9], "b": 3])
      let replaced = try await update(peers, ["c": 1], paths: ["*"], member)
      #expect(replaced.values == ["c": 1])
      // Nothing changes: neither the etag nor the history.
      #expect(try await update(peers, ["c": 1], member) == replaced)
    }
  }

  @Test func aStaleEtagIsAConflict() async throws {
    try await withConfig { peers in
      let (id, member) = try await peers.newTenant()
      let first = try await update(peers, ["a": 1], etag: "\"0\"", member)
      _ = try await update(peers, ["a": 2], etag: first.etag, member)
      let error = await refusal {
        try await update(peers, ["a": 3], etag: first.etag, member)
      }
      #expect(error.code == .aborted)
      #expect(error.errorInfo?.reason == "ETAG_MISMATCH")
      let current = try await peers.settings().getSettings(.init(), options: member)
      #expect(current.values == ["a": 2])
      #expect(try await peers.events(of: id).count == 3)
    }
  }

  @Test func ofTwoWritersWithOneEtagOneWins() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      let results = await atOnce(6, on: peers.reactor) { number in
        try await self.update(peers, ["a": .init("\(number)")], etag: "\"0\"", member)
      }
      #expect(results.count { (try? $0.get()) != nil } == 1)
      // Without an etag all of them count, and none is lost.
      _ = await atOnce(6, on: peers.reactor) { number in
        try await self.update(peers, ["key\(number)": true], member)
      }
      let current = try await peers.settings().getSettings(.init(), options: member)
      #expect(current.values?.fields.count == 7)
      #expect(current.etag == "\"7\"")
    }
  }

  @Test func tenantsDoNotSeeEachOthers() async throws {
    try await withConfig { peers in
      let (_, one) = try await peers.newTenant()
      let (_, two) = try await peers.newTenant()
      _ = try await update(peers, ["mine": true], one)
      let others = try await peers.settings().getSettings(.init(), options: two)
      #expect(others.values?.fields.isEmpty == true)
    }
  }

  @Test func badInputIsNamedAndNothingIsChanged() async throws {
    try await withConfig { peers in
      let (_, member) = try await peers.newTenant()
      let path = await refusal {
        try await update(peers, ["a": 1], paths: ["a", "non sense"], member)
      }
      #expect(path.fieldViolations.map(\.field) == ["paths[1]"])
      let number = await refusal {
        try await update(
          peers, ["a": ["b": [1, .init(kind: .numberValue(.infinity))]]], member)
      }
      #expect(number.fieldViolations.map(\.field) == ["settings.values.a.b[1]"])
      let missing = await refusal {
        try await peers.settings().updateSettings(.init(), options: member)
      }
      #expect(missing.fieldViolations.map(\.field) == ["settings"])
      // Each is short as JSON and 309 digits in the database.
      let numbers = GoogleProtobuf.Value(
        kind: .listValue(
          .init(values: (0..<4000).map { _ in .init(kind: .numberValue(1.5e308)) })))
      let large = await refusal { try await update(peers, ["a": numbers], member) }
      #expect(large.fieldViolations.map(\.field) == ["settings.values"])
      #expect(
        try await peers.settings().getSettings(.init(), options: member).etag == "\"0\"")
    }
  }

  @Test func anUnknownTenantHasNone() async throws {
    try await withConfig { peers in
      let stranger = try peers.user(of: ConfigPeers.newTenantID())
      let error = await refusal { try await update(peers, ["a": 1], stranger) }
      #expect(error.code == .notFound)
    }
  }
}
