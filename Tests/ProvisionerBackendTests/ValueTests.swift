import Configuration
import JSON
import Kubernetes
import ProvisionerService
import Testing

@testable import ProvisionerBackend

@Suite struct ValueTests {
  private let address = HostURLTemplate(scheme: "http", port: 8880)

  private func values(
    _ site: StoreSite, _ operatorValues: JSON = [:]
  ) -> JSON {
    .object(
      ReleaseValues.make(
        for: site, operatorValues: operatorValues.object ?? JSONObject(), address: address,
        secret: "keys"))
  }

  @Test func saysWhichStoreItIs() throws {
    #expect(
      values(site("0a", title: "Tea & Co")) == [
        "engine": "woocommerce",
        "store": [
          "id": "0a", "name": "Tea & Co", "host": "0a.localhost",
          "url": "http://0a.localhost:8880",
        ],
        "suspended": false, "existingSecret": "keys",
      ])
  }

  @Test func saysWhichEngineItRunsOn() {
    #expect(values(site(engine: .medusa))["engine"]?.string == "medusa")
  }

  @Test func theOperatorsComeFirstThenTheTenantsThenOurs() throws {
    let tenants: JSON = ["wordpress": ["php": ["ini": ["post_max_size": "8M"]]]]
    let made = values(
      site("0a", values: try #require(tenants.object)),
      [
        "store": ["host": "evil.example", "extra": 1], "existingSecret": "other",
        "wordpress": [
          "php": ["ini": ["post_max_size": "1M", "memory_limit": "128M"]], "list": [1],
        ],
      ])
    #expect(made["store", "host"]?.string == "0a.localhost" && made["store", "extra"]?.int64 == 1)
    #expect(made["existingSecret"]?.string == "keys")
    #expect(made["wordpress", "php", "ini"] == ["post_max_size": "8M", "memory_limit": "128M"])
    #expect(made["wordpress", "list"] == [1])
  }

  @Test func mergesAsHelmDoes() throws {
    func merged(_ lower: JSON, _ upper: JSON) throws -> JSON {
      .object(ReleaseValues.merged(try #require(lower.object), try #require(upper.object)))
    }
    #expect(try merged(["a": ["b": 1]], ["a": ["c": 2]]) == ["a": ["b": 1, "c": 2]])
    #expect(try merged(["a": [1, 2]], ["a": [3]]) == ["a": [3]])
    #expect(try merged(["a": ["b": 1]], ["a": nil]) == ["a": nil])
    #expect(try merged(["a": 1], ["a": ["b": 1]]) == ["a": ["b": 1]])
  }

  @Test func readsTheChartsOwnFiles() throws {
    let local = JSON.object(try ValuesFile.load([Checkout.localValues]))
    #expect(local["mariadb", "image", "tag"]?.string == "10.11")
    #expect(local["wordpress", "drainSeconds"]?.int64 == 1)
    #expect(local["ingress", "className"]?.string == "storeplane")
    for name in ["values.yaml", "values-vps.yaml"] {
      #expect(try !ValuesFile.load(["\(Checkout.chart)/\(name)"]).isEmpty)
    }
  }

  @Test func keepsYAMLsKinds() throws {
    let yaml = """
      text: "1"
      whole: 12
      part: 1.5
      yes: true
      none: null
      list: [1, {a: b}]
      8080: port
      """
    let expected: JSON = [
      "text": "1", "whole": 12, "part": .number(try #require(JSONNumber(1.5))), "yes": true,
      "none": nil, "list": [1, ["a": "b"]], "8080": "port",
    ]
    let parsed = try ValuesFile.parse(yaml, "x")
    #expect(JSON.object(parsed) == expected)
    #expect(try ValuesFile.parse("", "x").isEmpty)
  }

  @Test(arguments: [
    "- a", "just text", "a: [1", "a: .nan", "a: \(String(repeating: "[", count: 40))",
    "a: " + String(repeating: "{a: ", count: 40) + "1" + String(repeating: "}", count: 40),
    "when: 2026-01-01",
  ])
  func refusesWhatIsNoValues(yaml: String) {
    #expect(throws: ValuesFile.Failure.self) { try ValuesFile.parse(yaml, "values.yaml") }
  }

  @Test func namesTheFileThatIsMissing() {
    do throws(ValuesFile.Failure) {
      _ = try ValuesFile.load(["/nowhere/values.yaml"])
      Issue.record("read a file that is not there")
    } catch {
      #expect(error.description.contains("/nowhere/values.yaml"))
    }
  }
}

@Suite struct BackendSettingsTests {
  /// PROVISIONER_WORKERS goes up to 100: that many stores must find no limit of ours in their way.
  @Test func leaveRoomForAsManyStoresAsAreWorkedOn() {
    var settings = BackendSettings(
      chart: "", kubeconfig: "", helm: HelmWorkerSettings(program: "", library: ""),
      address: HostURLTemplate(scheme: "http", port: 80))
    settings.storesMax = 100
    let limits = settings.kubernetesLimits
    #expect(limits.execsMax >= 2 * settings.storesMax)
    // Each store's rollout is one reader of four watches, with one request under way.
    #expect(limits.watch.subscribersMax >= 4 * settings.storesMax)
    #expect(limits.waitingCallsMax >= settings.storesMax)
  }
}
