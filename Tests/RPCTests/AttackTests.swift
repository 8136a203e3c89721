import Contracts
import Foundation
import PythonPeer
import RPC
import RPCCore
import Reactor
import TestKit
import Testing

/// Attacks on the server, each beside a client that behaves and must go on unharmed.
@Suite(.serialized, .timeLimit(.minutes(3))) struct AttackTests {
  private static let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Peers/attacks.py")

  /// Runs the attack on a thread of its own while calls go on; returns what became of the attacker.
  private func verdict(of attack: String) async throws -> String {
    try await withReactor { reactor in
      let echo = try EchoServer(reactor)
      let port = echo.address.port ?? 0
      let blocking = BlockingPool(name: "attacker", threadsMax: 1)
      var verdict: Result<[String], any Error>?
      reactor.loop.spawn(on: reactor) {
        do {
          verdict = .success(
            try await blocking.run {
              try PythonPeer.run(Self.script, cases: ["\(attack) \(port)"])
            })
        } catch {
          verdict = .failure(error)
        }
      }
      var calls = 0
      while verdict == nil {
        let text = "call \(calls)"
        #expect(try await echo.client.echo(EchoServer.request(text)).text == text)
        calls += 1
      }
      #expect(calls > 0)
      #expect(echo.server.callsInProgress <= 256)
      return try verdict?.get().first ?? "none"
    }
  }

  @Test func rapidResetIsCutOff() async throws {
    #expect(try await verdict(of: "rapid_reset").hasPrefix("goaway"))
  }

  @Test func provokedResetsAreCutOff() async throws {
    let verdict = try await verdict(of: "made_you_reset")
    #expect(verdict == "goaway 11")
  }

  @Test func continuationFloodIsCutOff() async throws {
    #expect(try await verdict(of: "continuation_flood") != "still open")
  }

  @Test func aHeaderBombIsAnsweredWithoutBeingKept() async throws {
    #expect(try await verdict(of: "header_bomb") == "status 431")
  }

  @Test func tooManyFieldsAreRefused() async throws {
    #expect(try await verdict(of: "oversized_fields") == "status 431")
  }

  @Test func endlessStreamsAreRefused() async throws {
    #expect(["refused", "cut off"].contains(try await verdict(of: "endless_streams")))
  }

  @Test(arguments: ["ping_flood", "settings_flood"])
  func floodsThatWantAnswersStopBeingRead(attack: String) async throws {
    let verdict = try await verdict(of: attack)
    #expect(verdict == "stopped reading" || verdict.hasPrefix("goaway") || verdict == "closed")
  }

  @Test func garbageIsCutOff() async throws {
    #expect(try await verdict(of: "garbage") != "still open")
  }
}
