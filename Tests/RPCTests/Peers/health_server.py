"""grpcio with its own health service and an echo, for the service named as the argument.

Prints its port. Each line on its standard input is the service's new status; the answer is how many
echoes there have been. Ends with its standard input.
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

calls = 0


def echo(request, context):
    global calls
    calls += 1
    return request


server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
    "storeplane.testing.v1.EchoService", {"Echo": grpc.unary_unary_rpc_method_handler(echo)})])
servicer = health.HealthServicer()
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
for line in sys.stdin:
    servicer.set(sys.argv[1], health_pb2.HealthCheckResponse.ServingStatus.Value(line.strip()))
    print(calls, flush=True)
server.stop(0)
