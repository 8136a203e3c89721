import Reactor
import ServiceRuntime

/// Returns after `duration`, or when the task is cancelled.
func pause(_ duration: Duration, on reactor: Reactor) async {
  await WakeUp(on: reactor).wait(atMost: duration)
}
