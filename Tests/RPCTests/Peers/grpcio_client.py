"""Calls our echo server with grpcio. Each case is `name port [ca certificate key]`; prints a verdict a case."""

import sys
import threading
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVICE = "/storeplane.testing.v1.EchoService/"


def message(text):
    data = text.encode()
    return b"\x0a" + varint(len(data)) + data


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def raw(data):
    return data


def unary(channel, method="Echo"):
    return channel.unary_unary(SERVICE + method, raw, raw)


def case_unary(channel):
    answer = unary(channel)(message("hello"), timeout=30)
    return "ok" if answer == message("hello") else f"answered {answer!r}"


def case_large(channel):
    text = "x" * 2_000_000
    return "ok" if unary(channel)(message(text), timeout=30) == message(text) else "wrong"


def case_server_streaming(channel):
    call = channel.unary_stream(SERVICE + "Expand", raw, raw)
    # text = 1, count = 2
    answers = list(call(message("a") + b"\x10" + varint(300), timeout=30))
    return "ok" if len(answers) == 300 else f"{len(answers)} answers"


def case_client_streaming(channel):
    call = channel.stream_unary(SERVICE + "Collect", raw, raw)
    answer = call((message("ab") for _ in range(100)), timeout=30)
    return "ok" if answer == b"\x08\x64\x12\xc8\x01" + b"ab" * 100 else f"answered {answer[:20]!r}"


def case_bidirectional(channel):
    call = channel.stream_stream(SERVICE + "Converse", raw, raw)
    answers = list(call((message(f"m{i}") for i in range(50)), timeout=30))
    return "ok" if len(answers) == 50 else f"{len(answers)} answers"


def status_of(body):
    try:
        body()
    except grpc.RpcError as error:
        return error
    return None


def case_status(channel):
    error = status_of(lambda: unary(channel)(message("fail"), timeout=30))
    good = error.code() == grpc.StatusCode.FAILED_PRECONDITION
    return "ok" if good and error.details() == "asked to fail – 100 %" else f"{error}"


def case_deadline(channel):
    error = status_of(lambda: unary(channel)(message("sleep"), timeout=0.2))
    return "ok" if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED else f"{error}"


def case_cancel(channel):
    call = unary(channel).future(message("sleep"), timeout=30)
    threading.Timer(0.2, call.cancel).start()
    try:
        call.result()
    except grpc.FutureCancelledError:
        return "ok"
    return "not cancelled"


def case_unimplemented(channel):
    error = status_of(lambda: unary(channel, "Nothing")(b"", timeout=30))
    return "ok" if error.code() == grpc.StatusCode.UNIMPLEMENTED else f"{error}"


def case_undecodable(channel):
    error = status_of(lambda: unary(channel)(b"\x0a\xff", timeout=30))
    return "ok" if error.code() == grpc.StatusCode.INTERNAL else f"{error}"


def case_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        return f"{answer}"
    listed = stub.List(health_pb2.HealthListRequest(), timeout=30).statuses
    if {name: each.status for name, each in listed.items()} != {"": answer.status}:
        return f"{listed}"
    first = next(iter(stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)))
    return "ok" if first.status == answer.status else f"{first}"


def case_parallel(channel):
    call = unary(channel)
    futures = [call.future(message(f"p{i}"), timeout=20) for i in range(500)]
    wrong = [i for i, f in enumerate(futures) if f.result() != message(f"p{i}")]
    return "ok" if not wrong else f"{len(wrong)} wrong"


def case_rich(channel):
    """Details as google.rpc's own classes read them."""
    error = status_of(lambda: unary(channel)(message("hello"), timeout=30))
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    if (status.code, status.message) != (error.code().value[0], error.details()):
        return f"{status}"
    info, bad, retry = (error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(),
                        error_details_pb2.RetryInfo())  # fmt: skip
    unpacked = [detail.Unpack(part) for detail, part in zip(status.details, (info, bad, retry))]
    seen = (unpacked, info.reason, info.domain, dict(info.metadata),
            [(each.field, each.description) for each in bad.field_violations],
            retry.retry_delay.ToMilliseconds())  # fmt: skip
    wanted = ([True] * 3, "TOO_BUSY", "storeplane", {"limit": "3"}, [("name", "is empty")], 1500)
    return "ok" if seen == wanted else f"{seen}"


def case_pushback(channel):
    """The server takes one call at a time, and a stream is that one."""
    more = threading.Event()

    def requests():
        yield message("first")
        more.wait(20)

    stream = channel.stream_stream(SERVICE + "Converse", raw, raw)(requests(), timeout=30)
    next(stream)
    error = status_of(lambda: unary(channel)(message("second"), timeout=30))
    more.set()
    list(stream)
    pushback = dict(error.trailing_metadata()).get("grpc-retry-pushback-ms", "none")
    good = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and 100 <= int(pushback) <= 300
    return "ok" if good else f"{error.code()} {pushback}"


def case_refused(channel):
    error = status_of(lambda: unary(channel)(message("hello"), timeout=30))
    return error.code().name if error else "served"


def open_channel(port, credentials):
    target = f"localhost:{port}"
    if not credentials:
        return grpc.insecure_channel(target)
    ca, *pair = [Path(name).read_bytes() for name in credentials]
    certificate, key = pair if pair else (None, None)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(ca, key, certificate))


for line in Path(sys.argv[1]).read_text().splitlines():
    name, port, *credentials = line.split()
    with open_channel(port, credentials) as channel:
        verdict = globals()[f"case_{name}"](channel)
        # What grpcio says of an error has lines of its own.
        print(" ".join(verdict.split()), flush=True)
