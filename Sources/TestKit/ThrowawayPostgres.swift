import Glibc
import Reactor
import Synchronization

/// A PostgreSQL server of the tests' own, in a folder that goes away with the test process.
///
/// A small shell process keeps watch: it starts and stops the server on request, and when its
/// standard input ends, which is when the test process has gone for whatever reason, it stops the
/// server and removes the folder. Reached by a Unix socket; passwords are checked as in production.
package final class ThrowawayPostgres: Sendable {
  package struct Options: Sendable {
    /// Whether commits wait for the disk; tests of durability and measurements want it.
    package var fsync = false
    /// Whether the server also listens on a port of 127.0.0.1.
    package var loopback = false
    package var maxConnections = 300
    package init() {}
  }

  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  private static let sharedResult = Result { try ThrowawayPostgres() }

  /// The server that the suites of a test process share; each test makes a database of its own.
  package static func shared() throws -> ThrowawayPostgres { try sharedResult.get() }

  /// The folder of the server's socket.
  package let folder: String
  package let port: Int
  private let password: String
  private let watcher: Mutex<WatchingProcess>
  private let databases = Mutex(0)

  /// Makes a server and starts it.
  package init(_ options: Options = Options()) throws {
    password = (0..<4).map { _ in String(UInt64.random(in: 0 ... .max), radix: 36) }.joined()
    let watcher = try WatchingProcess(
      arguments: [
        "bash", "-c", watchScript, "throwaway-postgres", options.fsync ? "on" : "off",
        options.loopback ? "127.0.0.1" : "", String(options.maxConnections),
      ],
      environment: ["THROWAWAY_PASSWORD=\(password)", "LC_ALL=C.UTF-8"])
    let words = try watcher.readLine().split(separator: " ").map(String.init)
    guard words.count == 2, let port = Int(words[1]) else {
      throw Failure(description: "PostgreSQL was not started: \(words.joined(separator: " "))")
    }
    folder = words[0]
    self.port = port
    self.watcher = Mutex(watcher)
  }

  /// The superuser's URL.
  package var adminURL: String { url(database: "postgres") }

  package func url(database: String) -> String {
    "postgresql://postgres:\(password)@\(host)/\(database)?port=\(port)"
  }

  private var host: String { folder.replacing("/", with: "%2F") }

  /// An empty database of its own; the superuser's URL of it.
  package func createDatabase() throws -> String {
    let number = databases.withLock { number in
      number += 1
      return number
    }
    let name = "test_\(getpid())_\(number)"
    try command("createdb \(name)")
    return url(database: name)
  }

  /// Stops the server at once, without a checkpoint, as a crash would; sessions are told.
  package func stop() throws { try command("stop") }

  /// Kills every process of the server with SIGKILL; nobody is told.
  package func kill() throws { try command("kill") }

  package func start() throws { try command("start") }

  private func command(_ command: String) throws {
    try watcher.withLock { watcher in
      try watcher.writeLine(command)
      let answer = try watcher.readLine()
      if answer != "ok" { throw Failure(description: "\(command): \(answer)") }
    }
  }
}

/// A child in a session of its own, so that an interrupt of the tests does not reach it, spoken to by
/// lines. It is told of the end by the end of its input, which also comes when this process is killed.
private struct WatchingProcess: ~Copyable {
  private let process: pid_t
  /// Our end of the socket that is the child's standard input and output.
  private let channel: Int32

  init(arguments: [String], environment: [String]) throws {
    // Not inherited by whatever else the tests start, else the child would not see the end.
    var ends: [Int32] = [0, 0]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    if socketpair(AF_UNIX, type, 0, &ends) != 0 { throw SystemError("socketpair") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    posix_spawnattr_setflags(&attributes, WatchingProcess.newSession)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
      close(ends[1])
    }
    var words = arguments.map { strdup($0) } + [nil]
    var variables = (environment + WatchingProcess.inherited).map { strdup($0) } + [nil]
    defer { for pointer in words + variables { free(pointer) } }
    var process: pid_t = 0
    let code = posix_spawnp(&process, arguments[0], &actions, &attributes, &words, &variables)
    if code != 0 {
      close(ends[0])
      throw SystemError("posix_spawn", code: code)
    }
    channel = ends[0]
    self.process = process
  }

  deinit {
    shutdown(channel, Int32(SHUT_WR))
    // Its output ends with it.
    var byte: UInt8 = 0
    while read(channel, &byte, 1) > 0 {}
    close(channel)
    waitpid(process, nil, 0)
  }

  func writeLine(_ line: String) throws {
    let bytes = Array("\(line)\n".utf8)
    if write(channel, bytes, bytes.count) != bytes.count { throw SystemError("write") }
  }

  func readLine() throws -> String {
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while read(channel, &byte, 1) == 1 {
      if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
      line.append(byte)
    }
    throw ThrowawayPostgres.Failure(
      description: "the process that watches PostgreSQL ended: "
        + String(decoding: line, as: UTF8.self))
  }

  /// POSIX_SPAWN_SETSID of <spawn.h>.
  private static let newSession: Int16 = 0x80

  /// The variables that the server's programs need.
  private static var inherited: [String] {
    let names = ["PATH", "TMPDIR", "HOME"]
    return names.compactMap { name in getenv(name).map { "\(name)=\(String(cString: $0))" } }
  }
}

/// Arguments: fsync, addresses to listen on, connections. Answers a line to each line it reads.
private let watchScript = #"""
  set -u
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -x "$bin/initdb" ] || { echo "no initdb: install postgresql"; exit 1; }
  folder=$(mktemp -d "${TMPDIR:-/tmp}/storeplane-postgres.XXXXXX")
  log=$folder/log
  as() { "$@"; }
  if [ "$(id -u)" = 0 ]; then
    chown postgres: "$folder"
    # PostgreSQL does not run as root.
    as() { setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all "$@"; }
  fi
  cd "$folder" || exit 1
  control() { as "$bin/pg_ctl" -D "$folder/data" -l "$log" "$@" >/dev/null 2>&1; }
  remove() {
    control -m immediate stop
    rm -rf "$folder"
  }
  trap remove EXIT
  # Interrupts are for the tests; this process ends with its input.
  trap '' INT TERM HUP
  printf '%s' "$THROWAWAY_PASSWORD" >password
  chmod 644 password
  # Its number is free in this folder, where nobody else has a socket; a TCP port must be looked for.
  port=5432
  if [ -n "$2" ]; then
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  fi
  as "$bin/initdb" -D "$folder/data" -U postgres --auth=scram-sha-256 --pwfile=password \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$folder/initdb.log" 2>&1 || {
    tr '\n' ' ' <"$folder/initdb.log"; echo; exit 1; }
  rm -f password
  cat >>"$folder/data/postgresql.conf" <<EOF
  fsync = $1
  full_page_writes = $1
  listen_addresses = '$2'
  port = $port
  unix_socket_directories = '$folder'
  max_connections = $3
  shared_buffers = 64MB
  timezone = 'UTC'
  log_min_messages = warning
  EOF
  start() { control -w -t 60 start; }
  start || { tail -n 3 "$log" | tr '\n' ' '; echo; exit 1; }
  echo "$folder $port"
  export PGPASSWORD=$THROWAWAY_PASSWORD
  while read -r command argument; do
    case $command in
      start) start && echo ok || echo failed ;;
      stop) control -m immediate stop && echo ok || echo failed ;;
      kill)
        leader=$(head -n 1 "$folder/data/postmaster.pid")
        # It must not begin to recover meanwhile, nor one of them be there when the next server starts.
        kill -STOP "$leader"
        mapfile -t processes < <(pgrep -P "$leader"; echo "$leader")
        kill -KILL "${processes[@]}"
        for process in "${processes[@]}"; do tail --pid="$process" -f /dev/null; done
        rm -f "$folder/data/postmaster.pid"
        echo ok ;;
      createdb)
        if problem=$("$bin/createdb" -h "$folder" -p "$port" -U postgres "$argument" 2>&1); then
          echo ok
        else
          echo "$problem" | tr '\n' ' '; echo
        fi ;;
      *) echo "unknown command $command" ;;
    esac
  done
  """#
