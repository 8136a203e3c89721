import ServiceRuntime
import Testing

@Suite struct TenantIDRuleTests {
  @Test(arguments: ["a", "acme", "a-1", "a--b", String(repeating: "a", count: 40)])
  func takesTenants(_ id: String) { #expect(TenantIDRule.allows(id)) }

  @Test(arguments: [
    "", "1a", "-a", "a-", "A", "aB", "a_b", "a b", "a.b", "ä", "a\u{0}",
    String(repeating: "a", count: 41),
  ])
  func refusesWhatIsNone(_ id: String) { #expect(!TenantIDRule.allows(id)) }
}
