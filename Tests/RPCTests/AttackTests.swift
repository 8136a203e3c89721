import Foundation
import RPC
import Reactor
import TestKit
import Testing

/// Attacks on a server in a process of its own, each beside a client that behaves and must go on
/// unharmed. The limits are the defaults but where a time would make the test long or an amount large.
@Suite(.serialized, .timeLimit(.minutes(5 * Sanitized.timeFactor))) struct AttackTests {
  /// Every call of the client at the side is answered within this, on a machine with other work.
  static let callTimeout: Duration = .seconds(3 * Sanitized.timeFactor)
  /// The slowest of them takes no longer: three times what was seen on one that was overloaded.
  static let slowestCallMax: Duration = .seconds(2 * Sanitized.timeFactor)
  /// No attack makes the server's memory grow by more.
  static let growthBytesMax = (24 << 20) * Sanitized.memoryFactor
  /// How much later than its limit an end may be seen, on such a machine.
  static let delayMax = 2.0 * Double(Sanitized.timeFactor)

  struct Attack: Sendable, CustomTestStringConvertible {
    let name: String
    let limits: [String]
    /// A pattern for all that the attacker tells.
    let verdict: String
    /// The limit in seconds after which the attacker is cut off; nil where that is at once.
    let after: Double?

    init(_ name: String, _ limits: String..., is verdict: String, after: Double? = nil) {
      self.name = name
      self.limits = limits
      self.verdict = verdict
      self.after = after
    }

    func accepts(_ words: String) -> Bool {
      words.range(of: "^(\(verdict))$", options: .regularExpression) != nil
    }

    var testDescription: String { ([name] + limits).joined(separator: " ") }
  }

  private func endure(
    _ attack: Attack, arguments: [String] = [], tls: TLSContext? = nil, retries: Bool = false
  ) async throws -> AttackedServer.Outcome {
    let server = try AttackedServer(arguments + attack.limits)
    let outcome = try await server.endure(
      attack.name, callTimeout: Self.callTimeout, tls: tls, retries: retries)
    #expect(attack.accepts(outcome.verdict))
    #expect(outcome.growthBytes < Self.growthBytesMax)
    #expect(outcome.calls > 0)
    #expect(outcome.slowestCall < Self.slowestCallMax)
    #expect(server.stop() == 0)
    if let after = attack.after {
      let seconds = try #require(outcome.seconds)
      #expect((after * 0.9...after + Self.delayMax).contains(seconds))
    }
    return outcome
  }

  @Test(arguments: [
    Attack("rapid_reset", is: "goaway 11 too_many_resets"),
    Attack(
      "made_you_reset_window", "http2.windowUpdates=1e9/1", is: "goaway 11 too_many_stream_errors"),
    Attack("made_you_reset_content_length", is: "goaway 11 too_many_stream_errors"),
    Attack("data_after_the_end", is: "goaway 5 DATA: stream in half-closed\\(remote\\)"),
    Attack("streams_over_the_limit", is: "44 x reset 7"),
    Attack(
      "streams_past_the_limit", is: "goaway 1 request HEADERS: max concurrent streams exceeded"),
    Attack("endless_streams", is: "goaway 11 too_many_streams"),
    Attack("abandoned_handlers", is: "status 8"),
    Attack("decreasing_stream", is: "goaway 1 decreasing_stream_id"),
  ])
  func streamsAreBounded(attack: Attack) async throws { _ = try await endure(attack) }

  @Test(arguments: [
    Attack("continuation_flood", is: "goaway 11"),
    Attack("header_bomb", is: "http 431"),
    Attack("header_bombs", is: "goaway 11 too_many_stream_errors"),
    Attack("large_header_bomb", is: "goaway 11 header_block_too_large"),
    Attack("too_many_fields", is: "http 431"),
    Attack("cookie_crumbs", is: "http 431"),
    Attack("large_header_list", is: "status 12, http 431"),
    Attack(
      "slow_headers", "http2.headerBlock=0.5", is: "goaway 11 header_block_too_slow", after: 0.5),
    Attack(
      "slow_continuations", "http2.headerBlock=0.4", is: "goaway 11 header_block_too_slow",
      after: 0.4),
  ])
  func headerBlocksAreBounded(attack: Attack) async throws { _ = try await endure(attack) }

  @Test(arguments: [
    Attack("ping_flood", is: "goaway 11 too_many_pings"),
    Attack("pings_on_a_stream", is: "goaway 11 too_many_pings"),
    Attack("ping_strikes", is: "status 0, goaway 11 too_many_pings"),
    Attack("settings_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("priority_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("empty_data_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("padding_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("single_bytes", is: "goaway 11 too_many_small_frames"),
    Attack("unknown_frame_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("priority_update_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("altsvc_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("origin_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("goaway_flood", is: "goaway 11 too_many_empty_frames"),
    Attack("window_flood", is: "goaway 11 too_many_window_updates"),
    Attack("window_flood_on_streams", is: "goaway 11 too_many_window_updates"),
    Attack("reset_flood", is: "goaway 11 too_many_resets"),
    Attack("idle_reset", is: "goaway 1 RST_STREAM: stream in idle"),
  ])
  func framesThatCarryNothingAreBounded(attack: Attack) async throws {
    _ = try await endure(attack)
  }

  @Test(arguments: [
    Attack("slow_reader", "connection.writeStall=1", is: "closed", after: 1),
    Attack("dripping_reader", "connection.writeStall=1", is: "closed", after: 1),
    Attack("slow_sender", "unaryCall=1", is: "status 4", after: 1),
    Attack("endless_call", "streamingCall=1", is: "status 4", after: 1),
    Attack("vanished", "keepalive=0.5", "keepaliveTimeout=0.5", is: "1 PING, closed", after: 1),
    Attack("half_open", "http2.preface=1", is: "closed", after: 1),
    Attack("partial_preface", "http2.preface=1", is: "closed", after: 1),
    Attack("preface_without_settings", "http2.preface=1", is: "closed", after: 1),
    Attack("idle", "connectionIdle=1", is: "goaway 0", after: 1),
    // Without a call there is nothing to ask after.
    Attack(
      "idle", "connectionIdle=1", "keepalive=0.1", "keepaliveTimeout=0.1", is: "goaway 0", after: 1),
    Attack("zero_window", "unaryCall=3", is: "200 x reset 8", after: 3),
    Attack("exact_window", "streamingCall=0.5", "statusGrace=0.5", is: "reset 8", after: 1),
  ])
  func waitsAreBounded(attack: Attack) async throws { _ = try await endure(attack) }

  @Test(arguments: [
    // The refusals are let pass here, so that the bound on what waits to be sent is reached.
    Attack(
      "unread_answers", "http2.refusedStreams=1e9/1", "connection.writeStall=6",
      is: "not read on, closed"),
    Attack("full_window", "http2.connectionWindowBytes=1048576", is: "reset 3, goaway 3"),
    // How many are refused before the others fit, if any are left, depends on how the reads fall:
    // what a refused call holds is free at the end of the turn.
    Attack("held_messages", "heldBytesPerConnection=8000000", is: "[0-8] left, the others: 8"),
    Attack(
      "wide_messages", "heldBytesPerConnection=24000000",
      is: "4 kept, 56 x status 8"),
    Attack("refused_wide_messages", "heldBytesPerConnection=4000000", is: "60 x status 8"),
    Attack("tiny_messages", "heldBytesPerConnection=8000000", is: "1 kept, 1 x status 8"),
    Attack("gzip_bombs", "heldBytesPerConnection=8000000", is: "status 8"),
    // Those that were read with the one that went too far; the others wait until the time is over.
    Attack(
      "gzip_bombs_in_calls", "inflatedBytes=2e6/2e6", is: "[1-9][0-9]* x status 8, then status 0"),
    // The first alone is inflated, to 4 MiB: it takes 1.1 s until they are forgotten.
    Attack(
      "gzip_bombs_past_the_limit", "inflatedBytes=2e6/2e6", is: "3 x status 8, then status 0",
      after: 1.1),
    Attack("oversized_message", is: "status 8"),
    Attack("oversized_frame", is: "goaway 6 too large frame size"),
    Attack("nested_message", is: "status 13"),
    // 15 KB of metadata each, and what a call counts beside them.
    Attack("open_calls_with_metadata", "heldBytesPerAddress=8000000", is: "(39|4[01]). kept"),
    Attack("heads_that_are_no_request", is: "reset 1"),
    Attack("calls_of_one_address", "callsInProgressPerAddress=20", is: "10 x status 8"),
    Attack(
      "held_messages_of_one_address", "heldBytesPerAddress=4000000",
      is: "[0-4] left, the others: 8"),
    Attack(
      "connections_of_one_address", "listener.connectionsPerAddress=20",
      is: "20 served, then a further one"),
  ])
  func amountsAreBounded(attack: Attack) async throws { _ = try await endure(attack) }

  /// What is left for all clients may be too little, for a moment, for a call of the client at the side.
  @Test func whatIsHeldForAllIsBounded() async throws {
    _ = try await endure(
      Attack("held_messages", "heldBytes=4000000", is: "[0-4] left, the others: 8"), retries: true)
  }

  /// The limits of an address hold for the connections that come after as well.
  @Test(arguments: [
    Attack("calls_of_who_comes_again", "callsInProgressPerAddress=20", is: "0 0 10 refused"),
    Attack(
      "addresses_past_those_remembered", "callsInProgressPerAddress=10", "departedAddresses=1",
      is: "0 0 10 0 refused"),
    Attack(
      "gzip_bombs_of_who_comes_again", "inflatedBytes=2e6/4e5", is: "status 8, then status 0"),
  ])
  func comingAgainIsNoWayAround(attack: Attack) async throws { _ = try await endure(attack) }

  @Test func responsesThatNobodyTakesAreRefused() async throws {
    // 57 responses of 65,000 bytes fit with their calls, less where requests are held at the same time;
    // the others are refused, and these end by their deadline.
    _ = try await endure(
      Attack(
        "zero_window", "unaryCall=\(5 * Sanitized.timeFactor)", "heldBytesPerConnection=4000000",
        is: "[1-5]. x reset 8, 1[4-9]. x status 8"))
  }

  @Test(arguments: [
    Attack("garbage", is: "goaway 1"),
    Attack("http1", is: "goaway 1"),
  ])
  func whatIsNoHTTP2IsCutOff(attack: Attack) async throws {
    let outcome = try await endure(attack)
    #expect(try #require(outcome.seconds) < Self.delayMax)
  }

  @Test func theLastWordsAreNotWaitedForWithoutEnd() async throws {
    _ = try await endure(Attack("garbage_without_end", is: "goaway 1", after: 1))
  }

  /// What looks like an attack and is none.
  @Test(arguments: [
    Attack("pings_with_calls", is: "answered"),
    Attack("silent", "keepalive=0.1", is: "status 0"),
    Attack("forgotten_gaps", is: "status 0, no answer"),
    // Dropped unseen, at less than it costs to send it, and its window given back.
    Attack("stray_data", is: "status 0, status 0"),
    Attack("late_trailers", is: "status 4, status 0"),
    Attack("trailers_of_requests", is: "status 0, status 0, http 405, status 0"),
    Attack("skipped_streams", is: "100 x status 0"),
    Attack("window_updates", is: "300 x status 0"),
    Attack("torn_messages", is: "status 0"),
    Attack("unread_streams", is: "status 0"),
    Attack("open_calls", is: "256 x status 0(, 256 x status 0){3}"),
    Attack("padded_messages", is: "600 x status 0"),
  ])
  func conductThatIsAllowedIsNotPunished(attack: Attack) async throws {
    _ = try await endure(attack)
  }

  @Test(arguments: [
    Attack("tls_half_open", "connection.handshake=1", is: "closed", after: 1),
    Attack("tls_dripped_hello", "connection.handshake=1", is: "closed", after: 1),
    Attack("tls_flood", "http2.windowUpdates=1e9/1", is: "status 0"),
  ])
  func handshakesAndRecordsAreBounded(attack: Attack) async throws {
    let certificates = try TestCertificates()
    let files = try certificates.files(for: "config")
    let client = try TLSContext.client(
      TLSConfiguration(
        authoritiesFile: certificates.authorityFile, applicationProtocols: ["h2"]))
    _ = try await endure(
      attack, arguments: ["--tls", files.certificate, files.key], tls: client)
    withExtendedLifetime(certificates) {}
  }

  /// The attack holds the descriptors for a second, in which the loop must not spin.
  @Test(arguments: [
    Attack("many_connections", is: "status 0"),
    Attack("many_connections", "listener.connections=20", is: "status 0"),
  ])
  func connectionsPastTheDescriptorsWait(attack: Attack) async throws {
    let server = try AttackedServer(["--descriptors", "40"] + attack.limits)
    let quiet = try await server.endure(
      attack.name, callTimeout: Self.callTimeout, isQuiet: true)
    #expect(attack.accepts(quiet.verdict))
    #expect(quiet.cpuSeconds < 0.5 * Double(Sanitized.timeFactor))
    let busy = try await server.endure(attack.name, callTimeout: Self.callTimeout)
    #expect(attack.accepts(busy.verdict))
    #expect(busy.growthBytes < Self.growthBytesMax)
    #expect(server.stop() == 0)
  }
}
