import CFuzzer
import Glibc

// Fuzzes one of the parsers that face a peer. Built by scripts/fuzz, with libFuzzer's instrumentation.

let callbacks: [String: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32] = [
  "client": { ClientTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "deframer": { DeframerTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "gzip": { GzipTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "headers": { HeadersTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "http2": { HTTP2Target.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "protobuf": { ProtobufTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
  "response": { ResponseTarget.run(UnsafeRawBufferPointer(start: $0, count: $1)) },
]

/// Wanted by libFuzzer's own `main`, which is linked in and never called.
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzNothing(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 { 0 }

guard CommandLine.argc >= 2, let callback = callbacks[CommandLine.arguments[1]] else {
  let targets = callbacks.keys.sorted().joined(separator: "|")
  print("usage: Fuzz \(targets) [libFuzzer's options] [CORPUS ...]")
  exit(64)
}
// libFuzzer sees the arguments without the target's name.
var argc = CommandLine.argc - 1
var argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
argv?[0] = CommandLine.unsafeArgv[0]
exit(LLVMFuzzerRunDriver(&argc, &argv, callback))
