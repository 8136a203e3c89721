import Reactor
import Testing

@testable import Postgres

@Suite struct BatchTests {
  @Test func anAnswerThatComesBeforeItsCallerWaitsIsKept() async throws {
    let seen = try await onReactor { reactor in
      let batch = Batch(id: 1, outcomeIsOpen: false)
      batch.finish(.failure(.deadlineExceeded))
      batch.finish(.failure(.cancelled))
      let outcome: Batch.Outcome = await suspended(on: reactor, onCancel: {}) { batch.wait($0) }
      return await failure { try outcome.get() }
    }
    #expect(seen == .deadlineExceeded)
  }
}
