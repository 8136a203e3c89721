// gRPC C++ (callback API) serving the echo call: the peer that the RPC benchmark measures against.
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>

#include "echo.grpc.pb.h"

using storeplane::testing::v1::EchoRequest;
using storeplane::testing::v1::EchoResponse;
using storeplane::testing::v1::EchoService;

class EchoServer final : public EchoService::CallbackService {
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const EchoRequest* request,
                                 EchoResponse* response) override {
    response->set_text(request->text());
    response->set_payload(request->payload());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: server PORT\n";
    return 64;
  }
  EchoServer service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(std::string("127.0.0.1:") + argv[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  std::cout << "listening" << std::endl;
  server->Wait();
}
