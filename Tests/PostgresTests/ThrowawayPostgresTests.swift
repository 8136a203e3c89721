import Foundation
import Postgres
import Reactor
import TestKit
import Testing

@Suite struct ThrowawayPostgresTests {
  @Test func theServerGoesWithItsOwner() async throws {
    var server: ThrowawayPostgres? = try ThrowawayPostgres()
    let folder = try #require(server?.folder)
    let url = try #require(server?.adminURL)
    let process = try await onReactor { reactor in
      let connection = try await PostgresConnection.connect(
        PostgresConfiguration(url: url), on: reactor, blocking: BlockingPool(), logger: quiet)
      defer { connection.close() }
      return connection.backendProcess
    }
    #expect(FileManager.default.fileExists(atPath: folder))
    server = nil
    #expect(!FileManager.default.fileExists(atPath: folder))
    #expect(Glibc.kill(process, 0) == -1)
  }
}
