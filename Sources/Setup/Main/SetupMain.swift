import Configuration
import Foundation
import Glibc
import Setup

/// `storeplane-setup`: makes and reads an installation's settings. `scripts/up` runs it.
@main enum SetupMain {
  static func main() async {
    do {
      try await Command.parse(Array(CommandLine.arguments.dropFirst())).run()
    } catch let error as Misuse {
      fail("\(error.reason)\n\n\(Command.usage)", EX_USAGE)
    } catch let error as SetupError {
      fail("\(error)", EX_CONFIG)
    } catch {
      fail("storeplane-setup: \(error)", EX_UNAVAILABLE)
    }
  }

  private static func fail(_ reason: String, _ code: Int32) -> Never {
    FileHandle.standardError.write(Data("\(reason)\n".utf8))
    exit(code)
  }
}

struct Misuse: Error { let reason: String }
