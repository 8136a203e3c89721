"""grpcio as the server of the interoperability tests. Prints its port; ends with its standard input.

It compresses what it is asked to, but cannot see how a message came: interop_h2_server.py can.
"""

import sys
import time
from concurrent import futures

import grpc
import testing_messages as t


def echo_metadata(context):
    for key, value in context.invocation_metadata():
        if key == t.INITIAL_KEY:
            context.send_initial_metadata([(key, value)])
        elif key == t.TRAILING_KEY:
            context.set_trailing_metadata([(key, value)])


def end_as_asked(request, context):
    if request.response_status.code:
        code = next(c for c in grpc.StatusCode if c.value[0] == request.response_status.code)
        context.abort(code, request.response_status.message)


def EmptyCall(request, context):
    echo_metadata(context)
    return t.Empty()


def UnaryCall(request, context):
    echo_metadata(context)
    end_as_asked(request, context)
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    return t.SimpleResponse(payload=t.payload(request.response_size))


def CacheableUnaryCall(request, context):
    return t.SimpleResponse(payload=request.payload)


def StreamingOutputCall(request, context):
    yield from answers(request, context)


def StreamingInputCall(requests, context):
    return t.InputResponse(
        aggregated_payload_size=sum(len(request.payload.body) for request in requests))


def FullDuplexCall(requests, context):
    echo_metadata(context)
    for request in requests:
        yield from answers(request, context)


def HalfDuplexCall(requests, context):
    for request in list(requests):
        yield from answers(request, context)


def answers(request, context):
    end_as_asked(request, context)
    if any(wanted.compressed.value for wanted in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield t.OutputResponse(payload=t.payload(wanted.size))


def handler(name):
    method = t.METHODS[name]
    request, response = t.types_of(name)
    kind = "_".join("stream" if streams else "unary"
                    for streams in (method.client_streaming, method.server_streaming))
    return getattr(grpc, f"{kind}_rpc_method_handler")(
        globals()[name], request.FromString, response.SerializeToString)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=20))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
    t.SERVICE, {name: handler(name) for name in t.METHODS if name in globals()})])
if len(sys.argv) > 1:
    certificate, key = (open(name, "rb").read() for name in sys.argv[1:3])
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials)
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(0)
