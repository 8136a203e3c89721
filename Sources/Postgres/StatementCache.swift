/// Which statements a connection has prepared on the server, least recently used first to go.
///
/// A statement is prepared when it is used for the second time, so that one-off statements cost
/// nothing; the preparation travels in the same flush as the use. Pure: the connection sends.
struct StatementCache {
  enum Plan: Equatable {
    /// Send text and parameters without preparing.
    case unnamed
    /// Prepare under this name, then use it.
    case prepare(String)
    /// Use the statement of this name.
    case prepared(String)
  }

  /// Longer statements are not kept: they are made by programs and seldom repeat.
  static let sqlBytesMax = 16 * 1024

  private enum State: Equatable {
    case seen
    case preparing(batch: Int)
    case prepared
  }

  private struct Entry {
    let sql: String
    let types: [UInt32]
    let name: String
    var state: State
    var newer: Int
    var older: Int
  }

  let countMax: Int
  private var indices: [String: Int] = [:]
  private var entries: [Entry?] = []
  private var free: [Int] = []
  private var newest = -1
  private var oldest = -1
  private var namesGiven = 0
  /// Names that the server still holds for statements that left the cache.
  private(set) var evicted: [String] = []

  /// - Parameter countMax: 0 turns preparing off.
  init(countMax: Int) { self.countMax = countMax }

  var count: Int { indices.count }

  /// How to send `sql` in `batch`. Statements of one batch fail together, so a later one may rely on
  /// the preparation of an earlier one, but another batch may not before it has succeeded.
  mutating func plan(_ sql: String, _ parameters: [PostgresParameter], batch: Int) -> Plan {
    if countMax == 0 { return .unnamed }
    guard let index = indices[sql], let entry = entries[index] else {
      remember(sql, parameters)
      return .unnamed
    }
    touch(index)
    guard entry.types.elementsEqual(parameters.lazy.map(\.type.rawValue)) else { return .unnamed }
    switch entry.state {
    case .seen:
      entries[index]?.state = .preparing(batch: batch)
      return .prepare(entry.name)
    case .preparing(let other):
      return other == batch ? .prepared(entry.name) : .unnamed
    case .prepared:
      return .prepared(entry.name)
    }
  }

  mutating func didPrepare(_ sql: String) {
    guard let index = indices[sql] else { return }
    entries[index]?.state = .prepared
  }

  /// The preparation failed or was skipped.
  mutating func didNotPrepare(_ sql: String) {
    if let index = indices[sql] { remove(index) }
  }

  /// The server says that the plan no longer fits (a table was altered) or is gone.
  mutating func invalidate(_ sql: String) {
    guard let index = indices[sql], let entry = entries[index] else { return }
    if entry.state == .prepared { evicted.append(entry.name) }
    remove(index)
  }

  mutating func takeEvicted() -> [String] {
    defer { evicted = [] }
    return evicted
  }

  // MARK: The list, from the newest to the oldest

  private mutating func remember(_ sql: String, _ parameters: [PostgresParameter]) {
    if sql.utf8.count > StatementCache.sqlBytesMax { return }
    if indices.count == countMax && !evictOldest() { return }
    namesGiven += 1
    let entry = Entry(
      sql: sql, types: parameters.map(\.type.rawValue), name: "s\(namesGiven)", state: .seen,
      newer: -1, older: newest)
    let index = free.popLast() ?? entries.count
    if index == entries.count { entries.append(entry) } else { entries[index] = entry }
    indices[sql] = index
    if newest >= 0 { entries[newest]?.newer = index } else { oldest = index }
    newest = index
  }

  /// False when the oldest is just being prepared, or when as many names wait to be forgotten by the
  /// server as are in use (which takes a transaction with very many statements).
  private mutating func evictOldest() -> Bool {
    guard oldest >= 0, let entry = entries[oldest], evicted.count < countMax else { return false }
    if case .preparing = entry.state { return false }
    if entry.state == .prepared { evicted.append(entry.name) }
    remove(oldest)
    return true
  }

  private mutating func touch(_ index: Int) {
    if index == newest { return }
    unlink(index)
    entries[index]?.newer = -1
    entries[index]?.older = newest
    if newest >= 0 { entries[newest]?.newer = index } else { oldest = index }
    newest = index
  }

  private mutating func remove(_ index: Int) {
    guard let entry = entries[index] else { return }
    unlink(index)
    indices[entry.sql] = nil
    entries[index] = nil
    free.append(index)
  }

  private mutating func unlink(_ index: Int) {
    guard let entry = entries[index] else { return }
    if entry.newer >= 0 { entries[entry.newer]?.older = entry.older } else { newest = entry.older }
    if entry.older >= 0 { entries[entry.older]?.newer = entry.newer } else { oldest = entry.newer }
  }
}
