import Reactor

extension ConnectionEnd {
  /// For errors.
  var words: String {
    switch self {
    case .closedByPeer: "closed by the server"
    case .closedHere: "closed by this side"
    case .failed(let error): "\(error)"
    case .timedOut(let what): "timed out: \(what)"
    }
  }
}
