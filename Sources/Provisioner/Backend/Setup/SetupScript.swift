import Cryptography
import JSON
package import ProvisionerService

/// The shell script that sets a store up in the container that serves it.
package enum SetupScript {
  /// Where a set-up that runs in the container says which process it is (prologue.php says so itself).
  private static let processFile = "/tmp/storeplane-setup.pid"
  /// Where Medusa's program is written to; nothing secret is in it.
  private static let medusaFile = "/tmp/storeplane-setup.js"
  /// Ends a here-document; no line of the programs is like it.
  private static let mark = "STOREPLANE_END"
  /// What a program prints before its reason, and ends.
  private static let failureMark = "storeplane-failure "

  package struct Input: Sendable {
    package let title: String
    package let user: String
    package let password: String
    package let mail: String

    package init(title: String, user: String, password: String, mail: String) {
      self.title = title
      self.user = user
      self.password = password
      self.mail = mail
    }
  }

  /// The password is given to the programs on standard input: it stands in no argument, nor in a file.
  ///
  /// - Parameter run: names this run of the script, for `stopping`; letters and digits.
  package static func make(_ input: Input, for engine: StoreEngine, run name: String) -> String {
    let given: JSON = [
      "title": .string(input.title), "user": .string(input.user),
      "password": .string(input.password), "mail": .string(input.mail),
    ]
    // Base64 has no character that PHP or the shell would take for something else.
    let encoded = Base64.standard.encode(given.serialized())
    return """
      set -e
      export STOREPLANE_RUN=\(name)
      \(killing)
      \(engine == .medusa ? medusa(encoded) : wordPress(encoded))
      """
  }

  private static func wordPress(_ given: String) -> String {
    let secret = "$given = json_decode(base64_decode('\(given)'), true);\n"
    let start = text(PackageResources.prologue_php)
    return """
      \(run(start + body(PackageResources.prepare_php)))
      \(run(start + secret + body(PackageResources.install_php)))
      \(run(start + body(PackageResources.plugins_php)))
      """
  }

  /// Medusa runs programs that are files. It starts for long before it does: hence the shell says which
  /// process it is, and looks for the mark of `stopping`, in this order.
  private static func medusa(_ given: String) -> String {
    """
    cat >\(medusaFile) <<'\(mark)'
    \(text(PackageResources.medusa_js))
    \(mark)
    status=0
    sh -c 'echo $$ >\(processFile)
    [ ! -e \(stopFile("$STOREPLANE_RUN")) ] || exit 143
    exec "$MEDUSA_PROGRAM" exec \(medusaFile)' <<'\(mark)' || status=$?
    \(given)
    \(mark)
    rm -f \(processFile)
    exit $status
    """
  }

  private static func stopFile(_ run: String) -> String { "/tmp/storeplane-setup.\(run).stop" }

  /// Ends a run of the script, and keeps it from going on where it has hardly begun: its programs say
  /// which process they are, then look for the mark that is made here before looking for them.
  package static func stopping(run name: String) -> String {
    "touch \(stopFile(name))\n\(killing)"
  }

  /// Ends a set-up that goes on in the container though nobody listens to it any more.
  private static var killing: String {
    """
    p=$(cat \(processFile) 2>/dev/null || true)
    case "$p" in ''|*[!0-9]*) ;; *)
      case $(tr '\\0' ' ' </proc/$p/cmdline 2>/dev/null) in
        php*|*\(medusaFile)*) kill -9 "$p" 2>/dev/null || true;; esac
      rm -f \(processFile);;
    esac
    """
  }

  /// Why a program gave up: the failure's code, and in words.
  package static func failure(in output: String) -> (code: String, message: String)? {
    for line in output.split(separator: "\n").reversed() where line.hasPrefix(failureMark) {
      let parts = (try? JSON(parsing: String(line.dropFirst(failureMark.count))))?.array
      guard let code = parts?.first?.string, let message = parts?.last?.string else { return nil }
      return (code, message)
    }
    return nil
  }

  /// Warnings go to standard error, and traces there name no arguments: they may be secret.
  private static func run(_ program: String) -> String {
    """
    php -d display_errors=stderr -d log_errors=0 -d zend.exception_ignore_args=1 \
    -d memory_limit=512M <<'\(mark)'
    \(program)
    \(mark)
    """
  }

  private static func text(_ resource: [UInt8]) -> String {
    String(decoding: resource, as: UTF8.self)
  }

  /// Without its first line, which begins PHP: the prologue's has done that.
  private static func body(_ resource: [UInt8]) -> String {
    String(text(resource).drop { $0 != "\n" }.dropFirst())
  }
}
