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
  private func verdict(
    _ answers: [String?], engine: StoreEngine = .woocommerce
  ) async throws -> (ProvisionFailure?, Duration) {
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
          site(engine: engine), user: "admin", password: "secret", deadline: begin + .seconds(6))
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
    #expect(elapsed < .seconds(12))
  }

  private static func json(_ body: String, status: String = "200 OK") -> String {
    "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
  }

  private static let healthy = json("OK")
  private static let signedIn = json(#"{"token":"a.b.c"}"#)
  private static let named = json(#"{"stores":[{"id":"store_1","name":"Tea"}]}"#)
  private static let keyless = json(#"{"type":"not_allowed"}"#, status: "400 Bad Request")

  @Test(arguments: [json(#"{"products":[]}"#), keyless])
  func takesAMedusaThatIsWhole(products: String) async throws {
    let (failure, _) = try await verdict(
      [Self.healthy, Self.signedIn, Self.named, products], engine: .medusa)
    #expect(failure == nil, "\(failure?.detail ?? "")")
  }

  @Test(
    arguments: [
      ([json("", status: "500 Oops")], "/health answered 500"),
      ([healthy, json("{}", status: "401 Unauthorized")], "login: it answered 401"),
      ([healthy, json(#"{"location":"x"}"#)], "login: it answered 200"),
      ([healthy, signedIn, json("{}", status: "401 Unauthorized")], "/admin/stores answered 401"),
      ([healthy, signedIn, json(#"{"stores":[{"name":"Medusa Store"}]}"#)], "no store \"Tea\""),
      ([healthy, signedIn, named, json("{}", status: "500 Oops")], "/store/products answered 500"),
      ([healthy, signedIn, named, json("no", status: "400 Bad Request")], "answered 400"),
      ([healthy, nil], "/auth/user/emailpass: no whole answer before the deadline"),
    ] as [([String?], String)])
  func saysWhatAMedusaLacks(answers: [String?], reason: String) async throws {
    let (failure, _) = try await verdict(answers, engine: .medusa)
    #expect(failure?.code == .verificationFailed)
    #expect(failure?.detail.contains(reason) == true, "\(failure?.detail ?? "")")
    #expect(failure?.detail.contains("secret") == false)
  }
}
