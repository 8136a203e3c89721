// grpc-swift-2 on SwiftNIO serving the echo calls: a peer that the RPC benchmark measures against.
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import Glibc

guard CommandLine.arguments.count == 2, let port = Int(CommandLine.arguments[1]) else {
  print("usage: Server PORT")
  exit(64)
}
let server = GRPCServer(
  transport: .http2NIOPosix(
    address: .ipv4(host: "127.0.0.1", port: port), transportSecurity: .plaintext),
  services: [EchoService()])
try await server.serve()
