import Glibc

// The provisioner's engine on imagined machines; scripts/simulate starts it.

if CommandLine.arguments.dropFirst().first == "worker" {
  do {
    try Worker.run(Array(CommandLine.arguments.dropFirst(2)))
  } catch {
    complain("\(error)")
    exit(1)
  }
  exit(0)
}
guard let request = Request(Array(CommandLine.arguments.dropFirst())) else {
  complain("usage: see scripts/simulate --help")
  exit(64)
}
do {
  exit(try await Driver(request).run() ? 0 : 1)
} catch {
  complain("\(error)")
  exit(1)
}
