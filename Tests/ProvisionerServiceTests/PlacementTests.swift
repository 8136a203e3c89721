import Testing

@testable import ProvisionerService

/// Where new stores go, decided exactly.
@Suite struct PlacementTests {
  typealias Candidate = ClusterPlacement.Candidate

  private func decide(
    _ clusters: Candidate..., cluster: String? = nil, labels: [String: String] = [:]
  ) -> ClusterPlacement {
    ClusterPlacement.decide(ClusterWish(cluster: cluster, labels: labels), among: clusters)
  }

  @Test func theLargestFreeShareWins() {
    #expect(
      decide(
        Candidate(name: "a", storesMax: 10, stores: 5),
        Candidate(name: "b", storesMax: 100, stores: 49),
        Candidate(name: "c", storesMax: 1_000, stores: 600)) == .place("b"))
  }

  @Test func equalSharesGoByStoresThenByName() {
    #expect(
      decide(
        Candidate(name: "a", storesMax: 20, stores: 10),
        Candidate(name: "c", storesMax: 6, stores: 3),
        Candidate(name: "b", storesMax: 6, stores: 3)) == .place("b"))
  }

  @Test func withoutALimitAllIsFree() {
    #expect(
      decide(
        Candidate(name: "a", storesMax: 10, stores: 1),
        Candidate(name: "b", stores: 5_000)) == .place("b"))
    #expect(
      decide(Candidate(name: "a", stores: 7), Candidate(name: "b", stores: 6)) == .place("b"))
    // Nothing is freer than what is empty.
    #expect(
      decide(Candidate(name: "a", storesMax: 10), Candidate(name: "b", stores: 1)) == .place("a"))
  }

  @Test func nobodyIsToldToWaitForWhatWasGivenUp() {
    let lost = Candidate(name: "a", schedule: .draining, isAbandoned: true)
    #expect(decide(lost) == .refuse(.abandoned))
    #expect(decide(lost, Candidate(name: "b", schedule: .cordoned)) == .refuse(.closed))
    #expect(decide(lost, Candidate(name: "b")) == .place("b"))
    #expect(!ClusterPlacement.Refusal.abandoned.message.contains("uncordon"))
  }

  @Test func largeNumbersDoNotOverflow() {
    let max = Int(Int32.max)
    #expect(
      decide(
        Candidate(name: "a", storesMax: max, stores: max - 1),
        Candidate(name: "b", storesMax: max, stores: max - 2)) == .place("b"))
  }

  @Test func labelsMustAllBeThere() {
    let eu = Candidate(name: "eu", labels: ["region": "eu", "tier": "gold"])
    let us = Candidate(name: "us", labels: ["region": "us"])
    #expect(decide(eu, us, labels: ["region": "us"]) == .place("us"))
    #expect(decide(eu, us, labels: ["region": "eu", "tier": "gold"]) == .place("eu"))
    #expect(decide(eu, us, labels: ["region": "us", "tier": "gold"]) == .refuse(.noSuchLabels))
    #expect(decide(eu, us, labels: ["region": ""]) == .refuse(.noSuchLabels))
  }

  @Test func aClusterCanBeNamed() {
    let full = Candidate(name: "a", storesMax: 1, stores: 1)
    let free = Candidate(name: "b")
    #expect(decide(full, free, cluster: "b") == .place("b"))
    #expect(decide(full, free, cluster: "a") == .refuse(.full))
    #expect(decide(full, free, cluster: "c") == .refuse(.noSuchCluster("c")))
    #expect(decide(full, free, cluster: "b", labels: ["x": "y"]) == .refuse(.noSuchLabels))
  }

  @Test(arguments: [ClusterSchedule.cordoned, .draining])
  func whatIsClosedTakesNothing(schedule: ClusterSchedule) {
    let closed = Candidate(name: "a", schedule: schedule)
    #expect(decide(closed, Candidate(name: "b", storesMax: 9, stores: 8)) == .place("b"))
    #expect(decide(closed) == .refuse(.closed))
    #expect(decide(closed, Candidate(name: "b", storesMax: 1, stores: 2)) == .refuse(.closed))
  }

  @Test func whatFailsItsChecksTakesNothing() {
    let bad = Candidate(name: "a", isReady: false)
    #expect(decide(bad, Candidate(name: "b", storesMax: 9, stores: 8)) == .place("b"))
    #expect(decide(bad) == .refuse(.notReady))
  }

  @Test func whatDoesNotAnswerIsTheLastResort() {
    let away = Candidate(name: "a", isReachable: false)
    #expect(decide(away, Candidate(name: "b", storesMax: 9, stores: 8)) == .place("b"))
    #expect(decide(away) == .place("a"))
    #expect(decide(away, Candidate(name: "b", isReady: false)) == .place("a"))
  }

  @Test func withoutClustersThereIsNoPlace() {
    #expect(decide() == .refuse(.noSuchLabels))
  }

  @Test func refusalsSayWhoseFaultItIs() {
    let users: [ClusterPlacement.Refusal] = [.noSuchCluster("x"), .noSuchLabels]
    let platforms: [ClusterPlacement.Refusal] = [.full, .closed, .notReady]
    #expect(users.allSatisfy(\.isUserFault) && !platforms.contains(where: \.isUserFault))
    #expect(Set((users + platforms).map(\.code)).count == 5)
    #expect(platforms.allSatisfy { $0.message.contains("operator") })
  }

  @Test(arguments: ["", "Eu", "1eu", "eu-", "e_u", String(repeating: "a", count: 41), "é"])
  func namesThatClustersCannotHave(name: String) {
    #expect(throws: InvalidField.self) { try ClusterName.check(name) }
  }

  @Test func labelsAreChecked() throws {
    try ClusterLabels.check(["storeplane.dev/region": "eu-1", "tier": ""])
    for bad in [["": "x"], ["a b": "x"], ["a": "ü"], ["a": String(repeating: "x", count: 64)]] {
      #expect(throws: InvalidField.self) { try ClusterLabels.check(bad) }
    }
    let many = Dictionary(uniqueKeysWithValues: (0...ClusterLabels.countMax).map { ("k\($0)", "") })
    #expect(throws: InvalidField.self) { try ClusterLabels.check(many) }
  }

  @Test(arguments: ["shops..com", "-a.com", "a_b.com", ".", "A.com", "a.com:80"])
  func suffixesThatHostsCannotHave(suffix: String) {
    #expect(throws: InvalidField.self) { try DomainSuffix.check(suffix) }
    #expect(throws: Never.self) { try DomainSuffix.check(".eu.shops.example.com") }
  }
}
