import ArgumentParser
import JSON

struct EventsCommand: GatewayCommand {
  private static let limitMax = 100_000
  /// A tail is begun this much before the last event that is known: what was committed late has an
  /// earlier time.
  private static let overlapSeconds: Int64 = 60

  static let configuration = CommandConfiguration(
    commandName: "events",
    abstract: "Show what happened: when, by whom, from which state to which.",
    discussion: """
      The oldest come first; without --follow the last --limit of them are shown:
        storectl events --store demo
        storectl events --since 2h --follow
        storectl events --action secret.set -o json
      With --follow, -o json gives one line an event, -o yaml one document an event.
      """)

  @Option(help: "Only events of this store: its name or id.") var store: String?
  @Option(help: "Only events with this action, such as store.transition.") var action: String?
  @Option(help: "Only events by the actor with this id.") var actor: String?
  @Option(
    help: ArgumentHelp(
      "Only events from then on: a time such as 2026-11-21T06:30:00Z, or how long ago, such as 2h.",
      valueName: "time"))
  var since: Since?
  @Option(help: "The most events to show of those that there are.") var limit = 200
  @Flag(name: [.short, .long], help: "Go on with events as they happen, until Ctrl-C.")
  var follow = false
  @OptionGroup var connection: ConnectionOptions
  @OptionGroup var output: OutputOptions

  struct Since: ExpressibleByArgument {
    let time: WallTime

    init?(argument: String) {
      if let seconds = SpanText.seconds(argument) {
        time = WallTime.now.adding(seconds: -seconds)
      } else if let time = WallTime(argument) {
        self.time = time
      } else {
        return nil
      }
    }
  }

  func validate() throws {
    guard (1...Self.limitMax).contains(limit) else {
      throw ValidationError("--limit: give 1 to \(Self.limitMax)")
    }
  }

  func run(_ gateway: GatewayClient, _ output: Output) async throws {
    var query = filter
    if let since { query.append(("since", since.time.rfc3339)) }
    let listing = try await gateway.list(
      "/v1/events", "events", query + [("order", "ORDER_NEWEST_FIRST")], limit: limit)
    let events = Listing(
      name: listing.name, elements: listing.elements.reversed(), isCut: listing.isCut)
    if events.isCut {
      output.messages.line("there are older events: --limit shows more than \(limit)")
    }
    guard follow else { return try output.show(events.document, as: EventRow.table(of: events)) }
    try await tail(after: events.elements, gateway, output)
  }

  private var filter: [(name: String, value: String)] {
    [("store", store), ("action", action), ("actor", actor)].compactMap { name, value in
      value.map { (name, $0) }
    }
  }

  /// Shows the events that are known and those that come, each once, over any number of streams.
  private func tail(after events: [JSON], _ gateway: GatewayClient, _ output: Output) async throws {
    let table = EventRow.followedTable
    if output.format == .table { output.results.line(table.heading(on: output.results)) }
    var seen = RecentEvents()
    func show(_ event: JSON) throws {
      guard seen.insert(event["id"].text) else { return }
      seen.recorded(event["recordTime"].text)
      try output.showNext(event) {
        [table.line(EventRow.cells(event), on: output.results)]
      }
    }
    for event in events { try show(event) }
    try await gateway.followStream(
      .get("/v1/events:tail", filter + [("since", start(after: seen).rfc3339)]),
      note: { output.messages.line($0) },
      take: { event in
        try show(event)
        return false
      })
  }

  private func start(after seen: RecentEvents) -> WallTime {
    // Where there was no event at all, every one is new.
    guard let latest = seen.latest else { return since?.time ?? WallTime(seconds: 0) }
    return latest.adding(seconds: -Self.overlapSeconds)
  }
}

/// The events that a tail may tell once more.
struct RecentEvents {
  /// Far more than happens in the time by which two tails overlap.
  static let countMax = 100_000

  private(set) var latest: WallTime?
  private var ids: Set<String> = []
  private var order: [String] = []
  private var oldest = 0

  /// False for one that is known.
  mutating func insert(_ id: String) -> Bool {
    guard ids.insert(id).inserted else { return false }
    if order.count < Self.countMax {
      order.append(id)
    } else {
      ids.remove(order[oldest])
      order[oldest] = id
      oldest = (oldest + 1) % Self.countMax
    }
    return true
  }

  mutating func recorded(_ text: String) {
    guard let time = WallTime(text) else { return }
    if latest.map({ time.seconds(since: $0) > 0 }) ?? true { latest = time }
  }
}
