import JSON
import RPCCore

/// Why a service config was not taken, with the field at fault.
package struct ServiceConfigError: Error, Equatable, CustomStringConvertible {
  package let description: String
}

extension ServiceConfig {
  /// Parses gRPC's `service_config.json` (gRFC A2, A6, A17, A21).
  ///
  /// Stricter than the specification: unknown fields are refused too, since a name that is mistyped
  /// would else go unnoticed. Of the policies in `loadBalancingConfig` the first that is known counts.
  package init(json text: String) throws(ServiceConfigError) {
    self.init()
    let root: JSON
    do {
      root = try JSON(parsing: text)
    } catch {
      throw ServiceConfigError(description: "\(error)")
    }
    let fields = try ConfigFields(
      root, at: JSONPath(),
      allowing: [
        "methodConfig", "retryThrottling", "loadBalancingConfig", "loadBalancingPolicy",
        "healthCheckConfig",
      ])
    var seen: Set<String> = []
    for entry in try fields.objects(
      "methodConfig",
      allowing: [
        "name", "timeout", "waitForReady", "maxRequestMessageBytes", "maxResponseMessageBytes",
        "retryPolicy", "hedgingPolicy",
      ]) ?? []
    {
      try add(entry, &seen)
    }
    if let entry = try fields.object("retryThrottling", allowing: ["maxTokens", "tokenRatio"]) {
      throttling = RetryThrottling(
        tokensMax: try entry.number("maxTokens", above: 0, upTo: 1000),
        tokenRatio: try entry.number("tokenRatio", above: 0, upTo: 1000))
    }
    if let balancing = try ServiceConfig.loadBalancing(fields) { loadBalancing = balancing }
    let health = try fields.object("healthCheckConfig", allowing: ["serviceName"])
    healthCheckService = try health?.string("serviceName")
  }

  private mutating func add(
    _ entry: ConfigFields, _ seen: inout Set<String>
  ) throws(ServiceConfigError) {
    let method = try Method(entry)
    guard let names = try entry.objects("name", allowing: ["service", "method"]), !names.isEmpty
    else { throw entry.error("name", "at least one name is needed") }
    for name in names {
      let service = try name.string("service") ?? ""
      let rpc = try name.string("method") ?? ""
      if service.isEmpty, !rpc.isEmpty { throw name.error("method", "a method needs its service") }
      let path = "/\(service)/\(rpc)"
      if !seen.insert(path).inserted { throw name.error("another entry has the same name") }
      if service.isEmpty {
        defaults = method
      } else if rpc.isEmpty {
        services[service] = method
      } else {
        methods[path] = method
      }
    }
  }

  private static func loadBalancing(
    _ fields: ConfigFields
  ) throws(ServiceConfigError) -> LoadBalancing? {
    let known: [String: LoadBalancing] = ["pick_first": .pickFirst, "round_robin": .roundRobin]
    // The newer field has precedence (gRFC A24).
    if let policies = try fields.objects("loadBalancingConfig") {
      for policy in policies {
        let names = policy.members.keys
        guard names.count == 1, let name = names.first else {
          throw policy.error("expected one policy's name, found \(names.count)")
        }
        if let balancing = known[name] { return balancing }
      }
      throw fields.error(
        "loadBalancingConfig", "no policy is known; take pick_first or round_robin")
    }
    guard let name = try fields.string("loadBalancingPolicy") else { return nil }
    guard let balancing = known[name.lowercased()] else {
      throw fields.error("loadBalancingPolicy", "unknown policy; take pick_first or round_robin")
    }
    return balancing
  }
}

extension ServiceConfig.Method {
  fileprivate init(_ fields: ConfigFields) throws(ServiceConfigError) {
    self.init()
    timeout = try fields.duration("timeout")
    waitForReady = try fields.bool("waitForReady")
    requestBytesMax = try fields.byteCount("maxRequestMessageBytes")
    responseBytesMax = try fields.byteCount("maxResponseMessageBytes")
    if let policy = try fields.object(
      "retryPolicy",
      allowing: [
        "maxAttempts", "initialBackoff", "maxBackoff", "backoffMultiplier",
        "retryableStatusCodes",
      ])
    {
      retry = RetryPolicy(
        attempts: try policy.attempts("maxAttempts"),
        codes: try policy.statusCodes("retryableStatusCodes"),
        backoff: try policy.required("initialBackoff", try policy.duration("initialBackoff")),
        backoffMax: try policy.required("maxBackoff", try policy.duration("maxBackoff")),
        multiplier: try policy.number("backoffMultiplier", above: 0, upTo: 1000))
    }
    if let policy = try fields.object(
      "hedgingPolicy", allowing: ["maxAttempts", "hedgingDelay", "nonFatalStatusCodes"])
    {
      if retry != nil { throw policy.error("a method has this or a retryPolicy, not both") }
      hedging = HedgingPolicy(
        attempts: try policy.attempts("maxAttempts"),
        delay: try policy.duration("hedgingDelay", orZero: true) ?? .zero,
        codes: try policy.statusCodes("nonFatalStatusCodes", orNone: true))
    }
  }
}

/// The members of one object, and where it is in the document.
private struct ConfigFields {
  let members: [String: JSON]
  private let path: JSONPath

  init(
    _ json: JSON, at path: JSONPath, allowing names: Set<String>? = nil
  ) throws(ServiceConfigError) {
    self.path = path
    guard case .object(let object) = json else {
      throw ServiceConfigError(description: "\(path): expected an object, found \(json.kind)")
    }
    members = Dictionary(
      object.members.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
    guard let names else { return }
    for name in object.keys where !names.contains(name) {
      throw error(name, "unknown field; known here are \(names.sorted().joined(separator: ", "))")
    }
  }

  func error(_ reason: String) -> ServiceConfigError {
    ServiceConfigError(description: "\(path): \(reason)")
  }

  func error(_ name: String, _ reason: String) -> ServiceConfigError {
    ServiceConfigError(description: "\(step(.key(name))): \(reason)")
  }

  private func step(_ step: JSONPathStep...) -> JSONPath { JSONPath(path.steps + step) }

  func required<Value>(_ name: String, _ value: Value?) throws(ServiceConfigError) -> Value {
    guard let value else { throw error(name, "is needed") }
    return value
  }

  /// The member of that name as `view` sees it, nil where there is none.
  private func member<Value>(
    _ name: String, _ wanted: String, _ view: (JSON) -> Value?
  ) throws(ServiceConfigError) -> Value? {
    guard let json = members[name] else { return nil }
    guard let value = view(json) else {
      throw error(name, "expected \(wanted), found \(json.kind)")
    }
    return value
  }

  func string(_ name: String) throws(ServiceConfigError) -> String? {
    try member(name, "a string", \.string)
  }

  func bool(_ name: String) throws(ServiceConfigError) -> Bool? {
    try member(name, "a boolean", \.bool)
  }

  func object(
    _ name: String, allowing names: Set<String>
  ) throws(ServiceConfigError) -> ConfigFields? {
    guard let json = members[name] else { return nil }
    return try ConfigFields(json, at: step(.key(name)), allowing: names)
  }

  func objects(
    _ name: String, allowing names: Set<String>? = nil
  ) throws(ServiceConfigError) -> [ConfigFields]? {
    guard let array = try member(name, "an array", \.array) else { return nil }
    var objects: [ConfigFields] = []
    for (index, json) in array.enumerated() {
      let place = step(.key(name), .index(index))
      objects.append(try ConfigFields(json, at: place, allowing: names))
    }
    return objects
  }

  func number(
    _ name: String, above lowest: Double, upTo highest: Double
  ) throws(ServiceConfigError) -> Double {
    let value = try required(name, try member(name, "a number", \.double))
    guard value > lowest, value <= highest else {
      throw error(name, "must be above \(lowest) and at most \(highest)")
    }
    return value
  }

  /// Past `RetryPolicy.attemptsMax` they are allowed, and not made.
  func attempts(_ name: String) throws(ServiceConfigError) -> Int {
    let count = try required(name, try member(name, "an integer", \.int64))
    if count < 2 { throw error(name, "must be 2 or more: the first attempt counts") }
    return Int(count)
  }

  /// A number of bytes, which protobuf's JSON also writes as a string.
  func byteCount(_ name: String) throws(ServiceConfigError) -> Int? {
    let count = try member(name, "a whole number of bytes") { json in
      (json.uint64 ?? json.string.flatMap { UInt64($0) }).flatMap { UInt32(exactly: $0) }
    }
    return count.map(Int.init)
  }

  /// Protobuf's JSON form of a duration, such as `1.5s`; above zero where nothing else is said.
  func duration(
    _ name: String, orZero allowsZero: Bool = false
  ) throws(ServiceConfigError) -> Duration? {
    guard let text = try string(name) else { return nil }
    guard let duration = ConfigFields.duration(text), allowsZero || duration > .zero else {
      let range = allowsZero ? "" : " above zero"
      throw error(name, "expected a duration\(range) in seconds, such as \"1.5s\"")
    }
    return duration
  }

  private static func duration(_ text: String) -> Duration? {
    guard text.hasSuffix("s") else { return nil }
    let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
    let isNumber = parts.allSatisfy { part in
      !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
    }
    // Protobuf's own bound, ten thousand years.
    guard isNumber, parts.count <= 2, let seconds = Int64(parts[0]), seconds <= 315_576_000_000
    else { return nil }
    if parts.count == 1 { return .seconds(seconds) }
    let digits = String(parts[1])
    guard digits.count <= 9,
      let fraction = Int64(digits + String(repeating: "0", count: 9 - digits.count))
    else { return nil }
    return .seconds(seconds) + .nanoseconds(fraction)
  }

  /// Names of status codes, or their numbers; OK not among them.
  func statusCodes(
    _ name: String, orNone allowsNone: Bool = false
  ) throws(ServiceConfigError) -> Set<StatusCode> {
    if allowsNone, members[name] == nil { return [] }
    let entries = try required(name, try member(name, "an array", \.array))
    if entries.isEmpty, !allowsNone { throw error(name, "at least one code is needed") }
    var codes: Set<StatusCode> = []
    for (index, entry) in entries.enumerated() {
      let code = StatusCode.allCases.first { code in
        entry.string?.uppercased() == code.name || entry.int64 == Int64(code.rawValue)
      }
      guard let code, code != .ok else {
        let place = step(.key(name), .index(index))
        throw ServiceConfigError(description: "\(place): no status code of a failure")
      }
      codes.insert(code)
    }
    return codes
  }
}
