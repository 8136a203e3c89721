import Configuration
import Foundation
import Postgres
import Reactor
import Setup
import TestKit
import Testing

/// The services' roles and URLs, on a real Postgres. Roles are common to a server: one after another.
@Suite(.serialized) struct DatabaseTests {
  private let folder = TemporaryInstallation()

  private func prepare(admin: String?) async throws {
    let reactor = try Reactor.start(name: "setup-tests")
    defer { reactor.loop.stop() }
    try await ServiceDatabases().prepare(
      InstallationSettings(folder.installation), admin: admin.map { DatabaseURL($0) },
      on: reactor, blocking: BlockingPool())
  }

  private func urls() throws -> [[String: String]] {
    let settings = try InstallationSettings(folder.installation)
    return PlatformService.allCases.map(settings.databaseURLs)
  }

  @Test func eachServiceGetsItsURLsAndThenAllIsGood() async throws {
    try folder.prepare()
    #expect(folder.complaints().contains { $0.subject.hasSuffix("DATABASE_URL") })
    let admin = try ThrowawayPostgres.shared().createDatabase()
    try await prepare(admin: admin)
    let made = try urls()
    #expect(made.allSatisfy { $0.count == 3 })
    #expect(folder.complaints() == [])
    #expect(folder.mode("storeplane.env") == 0o600)
    // They let in: nobody needs an administrator any more.
    try await prepare(admin: nil)
    try await prepare(admin: admin)
    #expect(try urls() == made)
    #expect(folder.problems().isEmpty)
  }

  @Test func aURLThatLetsNobodyInIsMadeAnew() async throws {
    try folder.prepare()
    let admin = try ThrowawayPostgres.shared().createDatabase()
    try await prepare(admin: admin)
    let made = try urls()
    let text = try folder.text("storeplane.env")
    let wrong = text.replacing(/(?m)^AUDIT_DATABASE_URL=postgresql:\/\/audit_app:[^@]*/) { _ in
      "AUDIT_DATABASE_URL=postgresql://audit_app:wrong"
    }
    #expect(wrong != text)
    try folder.write(wrong, to: "storeplane.env")
    do {
      try await prepare(admin: nil)
      Issue.record("a wrong password let in")
    } catch let error as SetupError {
      let problem = try #require(error.problems.first)
      #expect(problem.subject == "audit's database URLs")
      #expect(problem.remedy.contains("give DATABASE_URL"))
      #expect(!error.description.contains("wrong@"))
    }
    try await prepare(admin: admin)
    let again = try urls()
    #expect(again.dropLast() == made.dropLast())
    #expect(again.last != made.last)
    #expect(try folder.text("storeplane.env").count == text.count)
    try await prepare(admin: nil)
  }

  @Test func withoutAnyURLOneIsAskedFor() async throws {
    try folder.prepare()
    do {
      try await prepare(admin: nil)
      Issue.record("no URL was enough")
    } catch let error as SetupError {
      #expect(error.problems.count == PlatformService.allCases.count)
      #expect(error.problems[0].remedy.contains("DATABASE_URL"))
    }
  }

  @Test func aServerThatIsNotThereIsSaidOnceAndWithoutThePassword() async throws {
    try folder.prepare()
    do {
      try await prepare(admin: "postgresql://postgres:hidden@%2Fnowhere/postgres")
      Issue.record("a server that is not there was enough")
    } catch let error as SetupError {
      #expect(error.problems.count == 1)
      #expect(error.problems[0].subject == "DATABASE_URL")
      #expect(!error.description.contains("hidden"))
    }
    #expect(try urls().allSatisfy(\.isEmpty))
  }
}
