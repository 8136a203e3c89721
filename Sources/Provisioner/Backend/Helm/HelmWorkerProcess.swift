import CLinux
import Glibc
import Observability
import Reactor

/// One helm-worker process: started, listened to, ended. Confined to its reactor, on whose thread it
/// must be made: the kernel ends the child with the thread that started it.
final class HelmWorkerProcess: ReadinessHandler {
  struct Program {
    let path: String
    let library: String
    let socket: String
    /// Where Helm may keep files.
    let folder: String
    /// What Go's runtime collects its garbage harder to stay below.
    let goMemoryBytes: Int
    /// RLIMIT_NOFILE.
    var descriptorsMax: UInt = 512
  }

  /// What is kept of the last that it wrote.
  static let diagnosticBytesMax = 2 * 1024

  let id: pid_t
  private let loop: EventLoop
  private let descriptor: Int32
  private var output: ProcessOutput?
  private var waiters: [Waiter<Void>] = []
  /// How it ended, for people; nil while it runs.
  private(set) var end: String?
  /// Called once, when it has ended.
  var onEnd: () -> Void = {}

  init(_ program: Program, loop: EventLoop) throws(SystemError) {
    self.loop = loop
    let output = try ProcessOutput(bytesMax: Self.diagnosticBytesMax, loop: loop)
    let id = try System.spawn(
      program.path, [program.socket, program.library], environment: Self.environment(program),
      output: output.writing, diagnostic: output.writing)
    output.closeWriting()
    self.id = id
    // A limit that cannot be set is no reason to go without Helm.
    _ = storeplane_limit_process(id, program.descriptorsMax)
    descriptor = storeplane_open_process(id)
    guard descriptor >= 0 else {
      let error = SystemError("pidfd_open")
      Glibc.kill(id, SIGKILL)
      waitpid(id, nil, 0)
      throw error
    }
    self.output = output
    try loop.register(descriptor, for: .readable, self)
  }

  /// As `end`, for one that may still run.
  var ending: String { end ?? "does not answer" }

  /// The last that it wrote to its standard output and error.
  var diagnostic: String { output?.text ?? "" }

  func kill() {
    if end == nil { Glibc.kill(id, SIGKILL) }
  }

  /// Returns when it has ended, or the task was cancelled.
  func ended(on reactor: Reactor) async {
    let waiter = Waiter<Void>()
    await suspended(on: reactor) {
      waiter.resume()
    } _: { resumption in
      if self.end != nil { return resumption.resume(()) }
      waiter.resumption = resumption
      self.waiters.append(waiter)
    }
  }

  /// Zero where the kernel does not tell.
  var residentBytes: Int {
    end == nil ? Int(ResidentMemory.bytes(of: id)) : 0
  }

  // MARK: ReadinessHandler

  package func ready(_ readiness: Readiness) {
    var status: Int32 = 0
    guard end == nil, waitpid(id, &status, WNOHANG) == id else { return }
    end =
      status & 0x7F == 0
      ? "ended with exit code \(status >> 8 & 0xFF)" : "was ended by signal \(status & 0x7F)"
    loop.deregister(descriptor)
    close(descriptor)
    output?.drain()
    for waiter in waiters { waiter.resume() }
    waiters = []
    onEnd()
    onEnd = {}
  }

  // MARK: Starting

  /// What a child needs of our environment: nothing that is secret.
  private static let inherited = [
    "PATH", "HOME", "LANG", "TZ", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
  ]

  /// Name folders that Helm and the Kubernetes client write to; the child's own goes with it.
  private static let writtenTo = [
    "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "KUBECACHEDIR", "TMPDIR",
  ]

  private static func environment(_ program: Program) -> [String] {
    var environment = inherited.compactMap { name in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
    for name in writtenTo {
      environment.append("\(name)=\(program.folder)")
    }
    // Go reads it from the environment that the process begins with, and from nowhere else.
    environment.append("GOMEMLIMIT=\(program.goMemoryBytes)")
    return environment
  }
}
