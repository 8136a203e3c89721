import Foundation
import JSON
import Kubernetes
import ProvisionerService
import Testing

@testable import ProvisionerBackend

@Suite struct SetupTests {
  private let password = "s3cretPassword"

  private func script(title: String = "Tea", engine: StoreEngine = .woocommerce) -> String {
    SetupScript.make(
      .init(title: title, user: "admin", password: password, mail: "admin@tea.localhost"),
      for: engine, run: "1")
  }

  /// What a title says is no part of a program, whatever it is.
  @Test(
    arguments: [
      "Tea", "'; exit 3; '", "\"$(reboot)\"", "STOREPLANE_END", "<?php exit(3);", "a\\b`c`", "Té ☕",
    ], StoreEngine.allCases)
  func isASoundScriptWithAnyTitle(title: String, engine: StoreEngine) throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: file) }
    let script = script(title: title, engine: engine)
    try script.write(to: file, atomically: true, encoding: .utf8)
    #expect(shell("sh -n \(file.path)") == 0)
    #expect(!script.contains("exit 3"))
    #expect(script.components(separatedBy: "\nSTOREPLANE_END\n").count == 3)
  }

  /// It travels in base64, with the rest of what a program is given, so that is what must be nowhere
  /// else.
  @Test(arguments: StoreEngine.allCases)
  func showsThePasswordInNoArgument(engine: StoreEngine) throws {
    let script = script(engine: engine)
    let given = try #require(
      script.firstMatch(of: /(?:base64_decode\('|\n)(eyJ[A-Za-z0-9+\/=]+)/)?.1)
    let decoded = try #require(Data(base64Encoded: String(given)))
    #expect(String(decoding: decoded, as: UTF8.self).contains(password))
    #expect(!script.contains(password))
    let request = ExecRequest.script(
      script, namespace: "n", pod: "p", container: "wordpress", nonce: 1)
    #expect(String(decoding: request.stdin, as: UTF8.self).contains(given))
    #expect(!request.command.contains { $0.contains(given) || $0.contains(password) })
  }

  @Test func readsWhyAProgramGaveUp() {
    let output = """
      PHP Notice: something
      storeplane-failure ["PLUGIN_UNAVAILABLE","plugin a: no file"]
      """
    let failure = SetupScript.failure(in: output)
    #expect(failure?.code == "PLUGIN_UNAVAILABLE" && failure?.message == "plugin a: no file")
    #expect(SetupScript.failure(in: "storeplane-failure no json") == nil)
    #expect(SetupScript.failure(in: "") == nil)
  }

  private func judged(_ exitCode: Int, _ stdout: String, _ stderr: String = "") -> ProvisionFailure?
  {
    do throws(ProvisionFailure) {
      try StoreSetup.judge(
        ExecResult(exitCode: exitCode, stdout: Array(stdout.utf8), stderr: Array(stderr.utf8)),
        hiding: [password])
      return nil
    } catch {
      return error
    }
  }

  @Test func judgesHowItEnded() {
    #expect(judged(0, "storeplane-failure [\"SETUP_FAILED\",\"earlier\"]") == nil)
    let plugin = judged(1, "storeplane-failure [\"PLUGIN_UNAVAILABLE\",\"no \(password)\"]\n")
    #expect(plugin?.code == .pluginUnavailable && plugin?.detail == "no [secret]")
    let unknown = judged(1, "storeplane-failure [\"NEVER_HEARD_OF\",\"x\"]\n")
    #expect(unknown?.code == .setupFailed)
    let fatal = judged(255, "", "PHP Fatal error: \(password) is wrong")
    #expect(fatal?.detail.contains(password) == false)
    #expect(judged(137, "")?.code == .setupInterrupted)
    #expect(judged(1, "", "no database")?.code == .setupFailed)
  }

  @Test(arguments: [
    ("<html><head><title>Tea &#8211; Just</title>", "Tea – Just"),
    ("<TITLE lang='en'>a &amp; b</TITLE>", "a & b"),
    ("<title>&#x41;&unknown;&</title>", "A&unknown;&"),
    ("<title></title>", ""),
  ])
  func readsATitle(html: String, title: String) {
    #expect(StorePages.title(of: html) == title)
  }

  @Test(arguments: ["", "<title", "<title>never ends", "no title"])
  func findsNoTitle(html: String) {
    #expect(StorePages.title(of: html) == nil)
  }

  @Test func knowsATitleThatWordPressMadeNicer() {
    #expect(StorePages.shows("Bob's \"2x4\" -- Tea", in: "Bob’s “2×4” – Tea – Just another"))
    #expect(StorePages.shows("Té ☕", in: "Té ☕"))
    #expect(!StorePages.shows("Tea", in: "Installation of WordPress"))
    #expect(StorePages.shows("!?", in: "anything"))
  }

  @Test func credentialsShowThemselvesNowhere() {
    let credentials = CredentialSet(
      [
        "wordpress-admin-user": "admin", "wordpress-admin-password": password,
      ], of: .woocommerce)
    #expect(
      !"\(credentials)".contains(password) && !String(reflecting: credentials).contains(password))
    var dumped = ""
    dump(credentials, to: &dumped)
    #expect(!dumped.contains(password))
    #expect(credentials.administrator == ("admin", password))
    #expect(credentials.secrets == [password])
  }

  /// The chart's tests ask for the same keys.
  @Test(arguments: [(StoreEngine.woocommerce, 11), (.medusa, 5)])
  func asksForAllThatTheChartNeeds(engine: StoreEngine, count: Int) throws {
    let names = engine.credentials
    #expect(names.generated.count == count && names.generated.allSatisfy { $0.length >= 32 })
    let chart = try String(
      contentsOfFile: Checkout.file("helm/ecommerce-store/README.md"), encoding: .utf8)
    for key in names.generated.map(\.name) + [names.administrator] {
      #expect(chart.contains("`\(key)`"))
    }
  }

  @Test func anAdministratorHasAMailAddress() {
    let medusa = site(engine: .medusa)
    #expect(medusa.administrator == "admin@\(medusa.host)")
    #expect(site().administrator == "admin" && site().administratorMail == "admin@\(site().host)")
  }
}

@Suite struct NamespaceRemovalTests {
  private func namespace(_ conditions: String, deletedAt: String = "2026-01-01T00:00:00Z") throws
    -> NamespaceRemoval
  {
    let text = """
      {"metadata":{"name":"n","deletionTimestamp":"\(deletedAt)"},
       "status":{"phase":"Terminating","conditions":[\(conditions)]}}
      """
    return NamespaceRemoval(KubernetesObject(try JSON(parsing: text)))
  }

  private static let finalizers = """
    {"type":"NamespaceContentRemaining","status":"True","message":"configmaps. has 1"},
    {"type":"NamespaceFinalizersRemaining","status":"True","message":"example.com/hold in 1"}
    """

  @Test func namesWhatIsLeft() throws {
    #expect(try namespace(Self.finalizers).words == "example.com/hold in 1; configmaps. has 1")
    #expect(try namespace("").words == "the namespace is being emptied")
    let waiting = NamespaceRemoval(KubernetesObject(["metadata": ["name": "n"]]))
    #expect(waiting.words == "waits for the removal to begin" && waiting.progress.fraction == 0)
  }

  @Test func isPatientThenNot() throws {
    let start = try #require(KubernetesTime.seconds("2026-01-01T00:00:00Z"))
    let held = try namespace(Self.finalizers)
    #expect(!held.isStuck(at: start + 240, patience: 240))
    #expect(held.isStuck(at: start + 241, patience: 240))
    let pods = #"{"type":"NamespaceContentRemaining","status":"True","message":"pods. has 1"}"#
    #expect(!(try namespace(pods).isStuck(at: start + 10_000, patience: 240)))
  }
}
