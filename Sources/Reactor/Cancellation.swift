/// Runs `operation` where the caller runs, and `onCancel` as soon as the task is cancelled, on whatever
/// thread that happens.
///
/// The standard library's `withTaskCancellationHandler` would run the closure on the global pool: a
/// closure stays with its actor only when it captures it.
package func cancellable<R, E: Error>(
  _ operation: () async throws(E) -> R, onCancel: @Sendable () -> Void,
  isolation: isolated (any Actor)? = #isolation
) async throws(E) -> R {
  let result: Result<R, E> = await withTaskCancellationHandler {
    _ = isolation
    do throws(E) { return .success(try await operation()) } catch { return .failure(error) }
  } onCancel: {
    onCancel()
  }
  return try result.get()
}

extension TaskLocal where Value: Sendable {
  /// Binds a value for `operation`, which runs where the caller runs; see `cancellable`.
  package func bound<R>(
    to value: Value, isolation: isolated (any Actor)? = #isolation,
    _ operation: () async throws -> R
  ) async rethrows -> R {
    try await withValue(value) {
      _ = isolation
      return try await operation()
    }
  }
}
