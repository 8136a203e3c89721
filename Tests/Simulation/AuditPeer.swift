import Contracts
import ProvisionerService
import RPC
import RPCCore
import Reactor

/// The audit service of a run: it records each event once, whatever becomes of its answers.
final class AuditPeer {
  private unowned let simulation: Simulation
  private(set) var events: [String: AuditV1.Event] = [:]
  /// In the order in which they came.
  private(set) var order: [String] = []

  init(_ simulation: Simulation) { self.simulation = simulation }

  /// As called from a machine.
  func append(
    _ request: AuditV1.AppendEventsRequest, from machine: Machine
  ) async throws -> AuditV1.AppendEventsResponse {
    let fault = simulation.faults.audit()
    if let fault { simulation.coverage.count("audit \(fault.rawValue)") }
    let words = fault.map { " (\($0.rawValue))" } ?? ""
    simulation.trace.add("\(machine.name) sends \(request.events.count) events\(words)")
    await rest(for: simulation.faults.seconds(0.001...0.05), on: machine.reactor)
    switch fault {
    case .unavailable: throw RPCError(.unavailable, "a fault")
    case .internalError: throw RPCError(.internal, "a fault")
    case .slow: await rest(for: simulation.faults.seconds(1...15), on: machine.reactor)
    case .answerLost, nil: break
    }
    var response = AuditV1.AppendEventsResponse()
    for event in request.events {
      var result = AuditV1.AppendEventsResponse.Result()
      result.outcome = events[event.id] == nil ? .recorded : .duplicate
      if result.outcome == .recorded { order.append(event.id) }
      events[event.id] = event
      response.results.append(result)
    }
    if fault == .answerLost { throw RPCError(.deadlineExceeded, "a fault") }
    return response
  }
}
