/// The end of a suspension on a reactor: resumes the task with a value that may be confined to it.
package struct Resumption<R> {
  fileprivate let continuation: UnsafeContinuation<Confined<R>, Never>

  /// To be called once, on the reactor's thread.
  package func resume(_ value: R) { continuation.resume(returning: Confined(value: value)) }
}

/// Suspends the calling task, which runs on `reactor`, until `body`'s resumption is used.
///
/// When the task is cancelled, `onCancel` is called on the reactor's thread, perhaps after the task
/// was resumed; it may resume it early. Both closures stay on the reactor. Other events of the loop may
/// come before `body`: it checks what it waits for.
package func suspended<R>(
  on reactor: Reactor,
  onCancel: @escaping () -> Void,
  _ body: @escaping (Resumption<R>) -> Void
) async -> R {
  reactor.loop.checkIsolated()
  return await reactor.suspended(
    onCancel: Confined(value: onCancel), body: Confined(value: body)
  ).value
}

extension Reactor {
  /// A method, since the operation of `withTaskCancellationHandler` stays on the actor only where the
  /// code around it is isolated to the actor itself: called from a function that merely inherits its
  /// caller's isolation it runs on the global pool.
  fileprivate func suspended<R>(
    onCancel: Confined<() -> Void>, body: Confined<(Resumption<R>) -> Void>
  ) async -> Confined<R> {
    await withTaskCancellationHandler {
      _ = self
      return await withUnsafeContinuation { body.value(Resumption(continuation: $0)) }
    } onCancel: {
      // Never at once: a task that is cancelled already must have come to `body` first.
      Task(executorPreference: loop) { await self.run { _ in onCancel.value() } }
    }
  }
}
