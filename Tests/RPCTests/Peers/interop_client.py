"""grpcio as the client of our interoperability server. Each case is `name port [ca]`; a verdict a line.

grpcio neither compresses one message of a call and not another, nor says how a response came: the
cases of compression call with h2.
"""

import queue
import sys
import time
from pathlib import Path

import grpc
import testing_messages as t
from grpc_call import Call


class Stub:
    def __init__(self, channel):
        self.channel = channel

    def __getattr__(self, name):
        method = t.METHODS[name]
        request, response = t.types_of(name)
        kind = "_".join("stream" if streams else "unary"
                        for streams in (method.client_streaming, method.server_streaming))
        return getattr(self.channel, kind)(
            f"/{t.SERVICE}/{name}", request_serializer=request.SerializeToString,
            response_deserializer=response.FromString)


def require(condition, text):
    if not condition:
        raise AssertionError(text)


def check(payload, size):
    require(payload.body == bytes(size), f"payload of {len(payload.body)} bytes, not {size}")


def failure(code, body):
    try:
        body()
    except grpc.RpcError as error:
        require(error.code() == code, f"{error.code()}: {error.details()}")
        return error
    raise AssertionError(f"no {code}")


def empty_unary(stub):
    require(stub.EmptyCall(t.Empty(), timeout=30) == t.Empty(), "not empty")


def large_unary(stub):
    check(stub.UnaryCall(t.large_request(), timeout=30).payload, t.LARGE_RESPONSE)


def gzip_unary(stub):
    answer = stub.UnaryCall(t.large_request(expect_compressed=t.BoolValue(value=True)),
                            timeout=30, compression=grpc.Compression.Gzip)
    check(answer.payload, t.LARGE_RESPONSE)


def deflate_unary(stub):
    error = failure(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnaryCall(
        t.large_request(), timeout=30, compression=grpc.Compression.Deflate))
    require("grpc-encoding" in error.details(), error.details())


def gzip_response(stub):
    request = t.large_request(response_compressed=t.BoolValue(value=True))
    check(stub.UnaryCall(request, timeout=30).payload, t.LARGE_RESPONSE)


def cacheable_unary(stub):
    request = t.SimpleRequest(payload=t.Payload(body=str(time.time_ns()).encode()))
    answers = [stub.CacheableUnaryCall(request, timeout=30, metadata=[("x-user-ip", "1.2.3.4")])
               for _ in range(2)]
    require(answers[0] == answers[1], "two answers differ")


def client_streaming(stub):
    requests = (t.InputRequest(payload=t.payload(size)) for size in t.REQUEST_SIZES)
    answer = stub.StreamingInputCall(requests, timeout=30)
    require(answer.aggregated_payload_size == 74922, f"{answer}")


def server_streaming(stub):
    request = t.OutputRequest(
        response_parameters=[t.ResponseParameters(size=size) for size in t.RESPONSE_SIZES])
    answers = list(stub.StreamingOutputCall(request, timeout=30))
    require(len(answers) == 4, f"{len(answers)} answers")
    for answer, size in zip(answers, t.RESPONSE_SIZES):
        check(answer.payload, size)


def ping_pong(stub):
    requests = queue.SimpleQueue()
    answers = stub.FullDuplexCall(iter(requests.get, None), timeout=30)
    for size, answer in zip(t.REQUEST_SIZES, t.RESPONSE_SIZES):
        requests.put(t.turn(size, answer))
        check(next(answers).payload, answer)
    requests.put(None)
    require(list(answers) == [], "more answers")


def half_duplex(stub):
    requests = [t.turn(1, size) for size in t.RESPONSE_SIZES]
    answers = list(stub.HalfDuplexCall(iter(requests), timeout=30))
    require([len(a.payload.body) for a in answers] == t.RESPONSE_SIZES, f"{len(answers)} answers")


def empty_stream(stub):
    require(list(stub.FullDuplexCall(iter(()), timeout=30)) == [], "answers to nothing")


def custom_metadata(stub):
    metadata = [(t.INITIAL_KEY, t.INITIAL_VALUE), (t.TRAILING_KEY, t.TRAILING_VALUE)]
    _, unary = stub.UnaryCall.with_call(t.large_request(), timeout=30, metadata=metadata)
    duplex = stub.FullDuplexCall(iter([t.turn(1, 1)]), timeout=30, metadata=metadata)
    require(len(list(duplex)) == 1, "no answer")
    for call in unary, duplex:
        require((t.INITIAL_KEY, t.INITIAL_VALUE) in call.initial_metadata(), "initial")
        require((t.TRAILING_KEY, t.TRAILING_VALUE) in call.trailing_metadata(), "trailing")


def status_code_and_message(stub, message="test status message"):
    status = t.EchoStatus(code=2, message=message)
    unary = failure(grpc.StatusCode.UNKNOWN, lambda: stub.UnaryCall(
        t.SimpleRequest(response_status=status), timeout=30))
    duplex = failure(grpc.StatusCode.UNKNOWN, lambda: list(stub.FullDuplexCall(
        iter([t.OutputRequest(response_status=status)]), timeout=30)))
    for error in unary, duplex:
        require(error.details() == message, error.details())


def special_status_message(stub):
    status_code_and_message(stub, t.SPECIAL_MESSAGE)


def unimplemented_method(stub):
    failure(grpc.StatusCode.UNIMPLEMENTED, lambda: stub.UnimplementedCall(t.Empty(), timeout=30))


def unimplemented_service(stub):
    call = stub.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
    failure(grpc.StatusCode.UNIMPLEMENTED, lambda: call(b"", timeout=30))


def cancel_after_begin(stub):
    requests = queue.SimpleQueue()
    call = stub.StreamingInputCall.future(iter(requests.get, None), timeout=30)
    call.cancel()
    requests.put(None)
    require(call.cancelled(), "not cancelled")
    require(call.code() == grpc.StatusCode.CANCELLED, f"{call.code()}")


def cancel_after_first_response(stub):
    requests = queue.SimpleQueue()
    requests.put(t.turn(27182, 31415))
    call = stub.FullDuplexCall(iter(requests.get, None), timeout=30)
    check(next(call).payload, 31415)
    call.cancel()
    requests.put(None)
    failure(grpc.StatusCode.CANCELLED, lambda: next(call))


def timeout_on_sleeping_server(stub):
    requests = queue.SimpleQueue()
    requests.put(t.OutputRequest(payload=t.payload(27182)))
    call = stub.FullDuplexCall(iter(requests.get, None), timeout=0.001)
    failure(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(call))
    requests.put(None)


def concurrent_large_unary(stub):
    calls = [stub.UnaryCall.future(t.large_request(), timeout=60) for _ in range(200)]
    for call in calls:
        check(call.result().payload, t.LARGE_RESPONSE)


def rpc_soak(stub):
    for _ in range(10):
        large_unary(stub)


def channel_soak(stub, target=None):
    for _ in range(10):
        with grpc.insecure_channel(target) as channel:
            large_unary(Stub(channel))


def client_compressed_unary(port):
    probe = Call(port, "UnaryCall", [t.large_request(expect_compressed=t.BoolValue(value=True))])
    require(probe.status == 3, f"status {probe.status}")
    for compressed in True, False:
        request = t.large_request(expect_compressed=t.BoolValue(value=compressed))
        call = Call(port, "UnaryCall", [(request, compressed)], encoding="gzip")
        require(call.status == 0, f"status {call.status}")
        check(call.messages[0].payload, t.LARGE_RESPONSE)


def server_compressed_unary(port):
    for compressed in True, False:
        request = t.large_request(response_compressed=t.BoolValue(value=compressed))
        call = Call(port, "UnaryCall", [request], accept="gzip")
        require(call.status == 0 and call.compressed == [compressed], f"{call.compressed}")
        check(call.messages[0].payload, t.LARGE_RESPONSE)
    unasked = Call(port, "UnaryCall", [t.large_request(
        response_compressed=t.BoolValue(value=True))])
    require(unasked.compressed == [False], "compressed for a client that does not accept it")


def client_compressed_streaming(port):
    def request(size, compressed):
        return t.InputRequest(
            payload=t.payload(size), expect_compressed=t.BoolValue(value=compressed))

    probe = Call(port, "StreamingInputCall", [request(27182, True)])
    require(probe.status == 3, f"status {probe.status}")
    call = Call(port, "StreamingInputCall",
                [(request(27182, True), True), (request(45904, False), False)], encoding="gzip")
    require(call.messages[0].aggregated_payload_size == 73086, f"{call.messages}")


def server_compressed_streaming(port):
    wanted = [(31415, True), (92653, False)]
    parameters = [t.ResponseParameters(size=size, compressed=t.BoolValue(value=compressed))
                  for size, compressed in wanted]
    call = Call(port, "StreamingOutputCall",
                [t.OutputRequest(response_parameters=parameters)], accept="identity, gzip")
    require(call.compressed == [True, False], f"{call.compressed}")
    for message, (size, _) in zip(call.messages, wanted):
        check(message.payload, size)


def unsupported_encoding(port):
    call = Call(port, "UnaryCall", [t.large_request()], encoding="br")
    require(call.status == 12, f"status {call.status}")
    require("gzip" in call.headers.get("grpc-accept-encoding", ""), f"{call.headers}")


def flag_without_encoding(port):
    call = Call(port, "UnaryCall", [(t.large_request(), True)])
    require(call.status == 13, f"status {call.status}")


def inflated_bomb(port):
    call = Call(port, "UnaryCall", [(t.SimpleRequest(payload=t.payload(5_000_000)), True)],
                encoding="gzip")
    require(call.status == 8, f"status {call.status}")


def damaged_gzip(port):
    call = Call(port, "UnaryCall", [b"\x01\x00\x00\x00\x04\x1f\x8b\x08\x00"], encoding="gzip")
    require(call.status == 13, f"status {call.status}")


def no_request(port):
    require(Call(port, "UnaryCall", []).status == 12, "a call without a request")


def two_requests(port):
    for method in "UnaryCall", "StreamingOutputCall":
        request = t.types_of(method)[0]()
        require(Call(port, method, [request, request]).status == 12, f"{method} of two requests")


def binary_metadata(port):
    """Padded, unpadded, empty, and several values joined by a comma."""
    for sent, expected in [("q6ur", b"\xab\xab\xab"), ("qw==", b"\xab"), ("qw", b"\xab"),
                           ("qw,q6s=", b"\xab"), ("", b"")]:
        call = Call(port, "EmptyCall", [t.Empty()], metadata=[(t.TRAILING_KEY, sent)])
        require(call.status == 0, f"status {call.status} for {sent!r}")
        require(call.binary_trailer(t.TRAILING_KEY) == expected, f"{sent!r}: {call.headers}")
    bad = Call(port, "EmptyCall", [t.Empty()], metadata=[(t.TRAILING_KEY, "!!")])
    require(bad.headers[":status"] == "400", f"{bad.headers}")


def http_errors(port):
    for changes, status in [
        ({":method": "GET"}, "405"), ({"content-type": "application/json"}, "415"),
        ({"content-type": None}, "415"), ({"grpc-timeout": "1x"}, "400"),
        ({"grpc-timeout": "123456789S"}, "400"), ({":path": "/nowhere"}, "200"),
    ]:  # fmt: skip
        call = Call(port, "EmptyCall", [t.Empty()], changes=changes)
        require(call.headers[":status"] == status, f"{changes}: {call.headers}")


WITH_H2 = {"client_compressed_unary", "server_compressed_unary", "client_compressed_streaming",
           "server_compressed_streaming", "unsupported_encoding", "flag_without_encoding",
           "inflated_bomb", "damaged_gzip", "no_request", "two_requests", "binary_metadata",
           "http_errors"}  # fmt: skip


def run(name, port, ca=None):
    if name in WITH_H2:
        return globals()[name](int(port))
    target = f"localhost:{port}"
    options = [("grpc.max_receive_message_length", 8_000_000)]
    channel = (
        grpc.secure_channel(target, grpc.ssl_channel_credentials(Path(ca).read_bytes()), options)
        if ca else grpc.insecure_channel(target, options)
    )  # fmt: skip
    with channel:
        extra = [target] if name == "channel_soak" else []
        globals()[name](Stub(channel), *extra)


for line in Path(sys.argv[1]).read_text().splitlines():
    try:
        run(*line.split())
        print("ok", flush=True)
    except Exception as error:
        print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
