import Configuration
import ProvisionerService
import Reactor
import Testing

@testable import ProvisionerBackend

@Suite struct VerificationTests {
  /// Takes a request and answers as told, or not at all.
  private final class Peer: ConnectionDelegate {
    let answer: String?
    private var isDue = false

    init(_ answer: String?) { self.answer = answer }

    func connectionReady(_ connection: Connection) {}
    func connection(_ connection: Connection, received bytes: UnsafeRawBufferPointer) {
      isDue = answer != nil
      connection.setNeedsFlush()
    }
    func connection(_ connection: Connection, fill output: OutputBuffer, room: Int) {
      if isDue, let answer { output.append(Array(answer.utf8)) }
      isDue = false
    }
    func connectionEnded(_ connection: Connection, _ end: ConnectionEnd) {}
  }

  private static let starting =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
  private static let page =
    "HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<title>Tea</title>"

  /// What a store that answers its requests so is told; the last answer is for all further ones.
  private func verdict(_ answers: [String?]) async throws -> (ProvisionFailure?, Duration) {
    try await onReactor { reactor in
      var left = answers
      let listener = try Listener(
        on: .ipv4(address: 0x7F00_0001, port: 0), loop: reactor.loop
      ) { connection in
        try? connection.start(Peer(left.count > 1 ? left.removeFirst() : left[0]))
      }
      defer { listener.close() }
      let verification = try StoreVerification(
        reactor: reactor, blocking: BlockingPool(),
        address: HostURLTemplate(scheme: "http", port: 80),
        ingress: HostPort(host: "127.0.0.1", port: try #require(listener.address.port)),
        storesMax: 1)
      let begin = Instant.now()
      let failure = await failure(ProvisionFailure.self) {
        try await verification.run(
          site(), user: "admin", password: "secret", deadline: begin + .seconds(2))
      }
      return (failure, Instant.now() - begin)
    }
  }

  /// The reason is told within the time that both requests have together.
  @Test(
    arguments: [
      ([nil], "no whole answer before the deadline"),
      ([starting], "answered 503"),
      ([page, nil], "/wp-login.php: no whole answer before the deadline"),
      ([starting, page, starting], "wp-login.php answered 503"),
    ] as [([String?], String)])
  func endsInTimeWithItsReason(answers: [String?], reason: String) async throws {
    let (failure, elapsed) = try await verdict(answers)
    #expect(failure?.code == .verificationFailed)
    #expect(failure?.detail.contains(reason) == true, "\(failure?.detail ?? "")")
    #expect(elapsed < .seconds(4))
  }
}
