import Reactor
import Testing

@testable import ProvisionerService

@Suite(.timeLimit(.minutes(1))) struct SideEffectTests {
  /// A call that does not end when it is cancelled. Confined to its reactor.
  private final class StubbornCall {
    let reactor: Reactor
    private var isOver = false
    private var waiter: Resumption<Void>?

    init(on reactor: Reactor) { self.reactor = reactor }

    func run() async {
      let onCancel = {}
      while !isOver {
        await suspended(on: reactor, onCancel: onCancel) { resumption in
          if self.isOver { return resumption.resume(()) }
          self.waiter = resumption
        }
      }
    }

    func end() {
      isOver = true
      waiter?.resume(())
      waiter = nil
    }
  }

  /// Stops a stubborn call as soon as it is under way; whether nothing acts any more.
  ///
  /// - Parameter abandon: what is done to it by force.
  private func isQuiet(
    grace: Duration, _ abandon: @Sendable @escaping (isolated Reactor, _ end: () -> Void) -> Void
  ) async throws -> Bool? {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    return await reactor.run { reactor in
      let call = StubbornCall(on: reactor)
      let effect = SideEffect(on: reactor, grace: grace) { abandon(reactor) { call.end() } }
      let outcome = await effect.run(timeout: .seconds(30)) {
        effect.stop(.cancelled)
        await call.run()
      }
      call.end()
      guard case .stopped(.cancelled, let isQuiet) = outcome else { return nil }
      return isQuiet
    }
  }

  @Test func aCallThatEndsByForceIsQuiet() async throws {
    #expect(try await isQuiet(grace: .seconds(20)) { _, end in end() } == true)
  }

  /// The lease may be lost while what was cancelled is left time to end by itself: then it has none.
  @Test func whatIsLostMeanwhileIsAbandonedAgain() async throws {
    let reactor = try Reactor.start(name: "test")
    defer { reactor.loop.stop() }
    let abandonments = await reactor.run { reactor in
      let (call, patience) = (StubbornCall(on: reactor), StubbornCall(on: reactor))
      var abandonments = 0
      var current: SideEffect?
      let effect = SideEffect(on: reactor, grace: .seconds(20)) {
        abandonments += 1
        if abandonments == 1 {
          current?.stop(.lost)
          await patience.run()
        } else {
          call.end()
          patience.end()
        }
      }
      current = effect
      let outcome = await effect.run(timeout: .seconds(30)) {
        effect.stop(.cancelled)
        await call.run()
      }
      current = nil
      guard case .stopped(.cancelled, isQuiet: true) = outcome else { return 0 }
      return abandonments
    }
    #expect(abandonments == 2)
  }

  @Test func aCallThatGoesOnIsNotQuietThoughItWasAbandoned() async throws {
    #expect(try await isQuiet(grace: .milliseconds(50)) { _, _ in } == false)
  }
}
