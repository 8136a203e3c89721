import JSON
import TestKit
import Testing

@testable import ProvisionerService

@Suite struct StoreStateTests {
  /// The table once more, as the design draws it.
  static let arrows: [(StoreState, StoreEvent, StoreState)] = [
    (.requested, .start, .provisioning), (.provisioning, .succeed, .ready),
    (.ready, .delete, .deleting), (.deleting, .vanish, .deleted),
    (.provisioning, .fail, .failed), (.provisioning, .cancel, .failed),
    (.deleting, .fail, .failed), (.failed, .retry, .requested), (.failed, .delete, .deleting),
    (.requested, .delete, .deleting),
  ]

  @Test func everyEventInEveryState() {
    for state in StoreState.allCases {
      for event in StoreEvent.allCases {
        let expected = Self.arrows.first { $0.0 == state && $0.1 == event }?.2
        do {
          #expect(try state.after(event) == expected, "\(event) of \(state)")
        } catch {
          #expect(expected == nil, "\(error)")
          #expect("\(error)".contains("a store that is \(state.rawValue) cannot \(event.rawValue)"))
        }
      }
    }
  }

  @Test func deletedIsTheOnlyEnd() {
    for state in StoreState.allCases {
      let next = StoreState.transitions[state] ?? [:]
      #expect(next.isEmpty == (state == .deleted))
    }
  }

  @Test func operationsEndOnceAndForAll() {
    for state in OperationState.allCases {
      let next = OperationState.allCases.filter(state.canBecome)
      #expect(next.isEmpty == state.isDone)
    }
    #expect(!OperationState.pending.canBecome(.succeeded))
  }

  @Test func stepsThatEndedDoNotBeginAgain() {
    for state in [StepState.succeeded, .failed, .skipped] {
      #expect(StepState.allCases.filter(state.canBecome).isEmpty)
    }
    #expect(StepState.sources(of: .succeeded) == [.running])
    #expect(StepState.sources(of: .running) == [.pending, .running, .waiting])
  }
}

@Suite struct StepTests {
  @Test(arguments: OperationKind.allCases, [false, true])
  func progressGrowsToAHundred(_ kind: OperationKind, _ withBackup: Bool) {
    var last = 0
    for step in kind.steps(withBackup: withBackup) {
      for fraction in [-1, 0, 0.3, 1, 7] {
        let percent = kind.progressPercent(at: step, fraction: fraction, withBackup: withBackup)
        #expect(percent >= last)
        last = percent
      }
    }
    #expect(last == 100)
  }

  @Test func everyStepIsOfSomeWorkAndOfEachOnce() {
    for kind in OperationKind.allCases {
      for steps in [kind.steps, kind.steps(withBackup: true)] {
        #expect(Set(steps).count == steps.count)
      }
    }
    #expect(
      Set(OperationKind.allCases.flatMap(\.steps)) == Set(OperationStep.allCases))
  }
}

@Suite struct FailureTests {
  @Test(arguments: FailureCode.allCases) func everyFailureSaysWhatHappenedAndWhatHelps(
    _ code: FailureCode
  ) {
    #expect(code.rawValue.wholeMatch(of: /[A-Z]+(_[A-Z]+)*/) != nil)
    let problem = ProvisionFailure(code, "pod x").problem
    #expect(problem.message == "\(code.summary): pod x; \(code.remedy)")
    #expect(!code.summary.isEmpty && !code.remedy.isEmpty)
    // A user's own fault does not go away by itself.
    #expect(!(code.isUserFault && code.isRetryable))
  }

  @Test func aLongDetailIsCut() {
    let failure = ProvisionFailure(.crashLoop, String(repeating: "ü\0", count: 5_000))
    #expect(failure.detail.utf8.count <= ProvisionFailure.detailBytesMax + 3)
    #expect(!failure.detail.utf8.contains(0))
  }

  @Test func throttlingDoesNotCountAgainstTheCluster() {
    #expect(FailureCode.clusterThrottled.verdict == .inconclusive)
    #expect(FailureCode.clusterThrottled.isRetryable)
    #expect(FailureCode.clusterUnreachable.verdict == .failed)
    #expect(FailureCode.quotaExceeded.isUserFault)
  }
}

@Suite struct StoreNameTests {
  @Test(arguments: ["a", "demo", "a-1", "a1-b2", String(repeating: "a", count: 40)])
  func goodNames(_ name: String) throws { try StoreName.check(name) }

  @Test(arguments: [
    "", "A", "1a", "-a", "a-", "a_b", "a.b", "a b", "ä", "a\0", "www", "xn--a", "ab--c",
    String(repeating: "a", count: 41),
  ])
  func badNames(_ name: String) {
    #expect(throws: InvalidField.self) { try StoreName.check(name) }
  }

  @Test func idsAreLabelsAndNoNames() {
    var generator = SplitMix64(seed: 7)
    var seen: Set<String> = []
    for _ in 0..<1_000 {
      let id = StoreID.make(using: &generator)
      #expect(StoreID.isOne(id))
      #expect(throws: InvalidField.self) { try StoreName.check(id) }
      #expect(StorePlace.namespace(id: id).utf8.count <= 63)
      seen.insert(id)
    }
    #expect(seen.count == 1_000)
    #expect(!StoreID.isOne("demo") && !StoreID.isOne(String(repeating: "0", count: 17)))
  }

  @Test func hostsFollowFromNames() {
    #expect(
      StorePlace.hosts(name: "demo", id: "0a", suffix: ".localhost") == [
        "demo.localhost", "demo-0a.localhost",
      ])
    #expect(StorePlace.hosts(name: "demo", id: "0a", suffix: "x.org")[0] == "demo.x.org")
  }
}

@Suite struct StoreParametersTests {
  private func refusal(_ parameters: StoreParameters) -> String? {
    do {
      try parameters.check()
      return nil
    } catch { return error.path }
  }

  @Test func whatTenantsMayChoose() throws {
    let values = try #require(
      JSON(parsing: #"{"wordpress": {"php": {"ini": {"post_max_size": "9M"}}}}"#).object)
    #expect(
      refusal(
        StoreParameters(
          title: "Tea & more", adminEmail: "a@b.c", plan: "small-2", values: values)) == nil)
    #expect(refusal(StoreParameters()) == nil)
  }

  @Test func whatTheyMayNot() throws {
    #expect(refusal(StoreParameters(title: "a\nb")) == "parameters.title")
    #expect(
      refusal(StoreParameters(title: String(repeating: "a", count: 101))) == "parameters.title")
    for email in ["a", "@b", "a@", "a@b@c", "a b@c"] {
      #expect(refusal(StoreParameters(adminEmail: email)) == "parameters.admin_email")
    }
    #expect(refusal(StoreParameters(plan: "Big")) == "parameters.plan")
    for (text, path) in [
      (#"{"existingSecret": "x"}"#, "parameters.values.existingSecret"),
      (#"{"wordpress": {"image": {}}}"#, "parameters.values.wordpress.image"),
      (#"{"wordpress": 5}"#, "parameters.values.wordpress"),
    ] {
      let values = try #require(JSON(parsing: text).object)
      #expect(refusal(StoreParameters(values: values)) == path)
    }
    var values = JSONObject()
    let long = String(repeating: "a", count: StoreParameters.valuesBytesMax)
    values["wordpress"] = ["php": ["ini": ["post_max_size": .string(long)]]]
    #expect(refusal(StoreParameters(values: values)) == "parameters.values")
  }
}

@Suite struct StoreCreationTests {
  private func decide(
    _ state: StoreState?, plan: String = "", last: OperationKind = .provision
  ) -> StoreCreation {
    StoreCreation.decide(
      engine: .woocommerce, parameters: StoreParameters(plan: plan),
      existing: state.map {
        StoreCreation.Existing(
          state: $0, engine: .woocommerce, parameters: StoreParameters(), lastOperation: last)
      })
  }

  @Test func creatingIsIdempotentWhereItFailed() {
    #expect(decide(nil) == .create)
    #expect(decide(.deleted) == .create)
    #expect(decide(.failed) == .retry)
    #expect(decide(.failed, plan: "big") == .conflict(.otherParameters))
    #expect(decide(.failed, last: .delete) == .conflict(.deletionFailed))
    for state in [StoreState.requested, .provisioning, .ready, .deleting] {
      #expect(decide(state) == .conflict(.alive(state)))
    }
  }
}
