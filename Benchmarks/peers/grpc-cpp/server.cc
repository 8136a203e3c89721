// gRPC C++ (callback API) serving the echo calls: the peer that the RPC benchmark measures against.
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>

#include "echo.grpc.pb.h"

using storeplane::testing::v1::EchoRequest;
using storeplane::testing::v1::EchoResponse;
using storeplane::testing::v1::EchoService;
using storeplane::testing::v1::ExpandRequest;

// Sends the request's text as many times as asked.
class Expansion final : public grpc::ServerWriteReactor<EchoResponse> {
 public:
  explicit Expansion(const ExpandRequest* request) : count_(request->count()) {
    response_.set_text(request->text());
    WriteNext();
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    if (next_ == count_) {
      Finish(grpc::Status::OK);
    } else {
      response_.set_index(next_++);
      StartWrite(&response_);
    }
  }

  const int count_;
  int next_ = 0;
  EchoResponse response_;
};

class EchoServer final : public EchoService::CallbackService {
  grpc::ServerUnaryReactor* Echo(grpc::CallbackServerContext* context, const EchoRequest* request,
                                 EchoResponse* response) override {
    response->set_text(request->text());
    response->set_payload(request->payload());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<EchoResponse>* Expand(grpc::CallbackServerContext*,
                                                 const ExpandRequest* request) override {
    return new Expansion(request);
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
  if (!server) return 69;
  server->Wait();
}
