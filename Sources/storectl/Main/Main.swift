import Dispatch
import Foundation
import Storectl

@main
enum Main {
  // Not async: the signals must be blocked on the first thread, before there are others.
  static func main() {
    Interruption.shared.listen()
    let done = DispatchSemaphore(value: 0)
    Task.detached {
      let code = await StorectlCommand.run()
      exit(code)
    }
    done.wait()
  }
}
