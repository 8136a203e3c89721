import JSON

/// What is shown of an operation's step.
struct StepProgress: Equatable, Sendable {
  let name: String
  let state: String
  let attempts: Int64
  let detail: String
  let error: OperationError?
  let startTime: WallTime?
  let endTime: WallTime?
  let nextAttemptTime: WallTime?

  init(_ document: JSON) {
    name = document["name"].text
    state = EnumName.short(document["state"].text, "STATE")
    attempts = document["attempts"].integer
    detail = document["detail"].text
    error = OperationError(document["error"])
    startTime = WallTime(document["startTime"].text)
    endTime = WallTime(document["endTime"].text)
    nextAttemptTime = WallTime(document["nextAttemptTime"].text)
  }
}

/// Why an operation or one of its steps failed.
struct OperationError: Equatable, Sendable {
  let code: String
  let message: String
  let isRetryable: Bool

  /// Nil where there is none.
  init?(_ document: JSON) {
    guard document.object != nil else { return nil }
    code = document["code"].text
    message = document["message"].text
    isRetryable = document["retryable"].bool ?? false
  }

  var text: String { code.isEmpty ? message : "\(code): \(message)" }
}

/// What is shown of an operation.
struct OperationProgress: Equatable, Sendable {
  let id: String
  let store: String
  let kind: String
  let state: String
  let isDone: Bool
  let steps: [StepProgress]
  let error: OperationError?
  let percent: Int64
  /// Of a rollback: what it goes back to.
  let release: Int64
  /// Of a backup: the one that it makes; of a restore: the one that it is from.
  let backup: String

  init(_ document: JSON) {
    id = document["id"].text
    store = document["store"].text
    kind = EnumName.short(document["kind"].text, "KIND")
    state = EnumName.short(document["state"].text, "STATE")
    isDone = document["done"].bool ?? false
    steps = (document["steps"].array ?? []).map { StepProgress($0) }
    error = OperationError(document["error"])
    percent = document["progressPercent"].integer
    release = document["release"].integer
    backup = document["backup"].text
  }

  /// The step that is under way, or that waits for its next attempt.
  var current: StepProgress? { steps.first { $0.state == "running" || $0.state == "waiting" } }

  /// A line for what has changed, and where.
  struct Change: Equatable {
    /// The step's name; empty for the operation as a whole.
    let subject: String
    let state: String
    let text: String
  }

  /// What has changed since `previous`, in the order of the steps. The first time: what is not
  /// merely still to come.
  func changes(since previous: OperationProgress?) -> [Change] {
    var changes: [Change] = []
    for step in steps {
      let before = previous?.steps.first { $0.name == step.name }
      if step == before || (before == nil && step.state == "pending") { continue }
      // Times and the like change without anything to tell.
      if step.change == before?.change { continue }
      changes.append(step.change)
    }
    let isNew = previous?.state != state
    if isNew, isDone || changes.isEmpty {
      changes.append(Change(subject: "", state: state, text: ""))
    }
    return changes
  }
}

extension StepProgress {
  var change: OperationProgress.Change {
    OperationProgress.Change(subject: name, state: state, text: text)
  }

  /// What there is to say beside the state.
  private var text: String {
    var parts: [String] = []
    if state == "succeeded", let startTime, let endTime {
      parts.append("in \(SpanText.text(seconds: endTime.seconds(since: startTime)))")
    }
    if attempts > 1 { parts.append("attempt \(attempts)") }
    if state == "waiting", let nextAttemptTime {
      parts.append("next attempt at \(nextAttemptTime.timeOfDay)")
    }
    if state == "running", !detail.isEmpty { parts.append(detail) }
    if state == "waiting" || state == "failed", let error { parts.append(error.text) }
    return parts.joined(separator: ", ")
  }
}
