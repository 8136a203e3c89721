"""The messages of grpc.testing, from our .proto files, and the facts of the interoperability tests."""

import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[3] / "proto"
SERVICE = "grpc.testing.TestService"

REQUEST_SIZES = [27182, 8, 1828, 45904]
RESPONSE_SIZES = [31415, 9, 2653, 58979]
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
INITIAL_KEY, INITIAL_VALUE = "x-grpc-test-echo-initial", "test_initial_metadata_value"
TRAILING_KEY, TRAILING_VALUE = "x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"
SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


def load():
    with tempfile.NamedTemporaryFile() as output:
        code = protoc.main(["protoc", f"-I{PROTO}", "--include_imports",
                            f"--descriptor_set_out={output.name}", "grpc/testing/test.proto"])
        if code != 0:
            sys.exit(code)
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    classes = message_factory.GetMessageClassesForFiles([file.name for file in files], pool)
    service = pool.FindServiceByName(SERVICE)
    return ({name.rpartition(".")[2]: kind for name, kind in classes.items()},
            {method.name: method for method in service.methods})


MESSAGES, METHODS = load()
BoolValue, EchoStatus, Empty, Payload, ResponseParameters = (
    MESSAGES[name] for name in ["BoolValue", "EchoStatus", "Empty", "Payload", "ResponseParameters"])
SimpleRequest, SimpleResponse = MESSAGES["SimpleRequest"], MESSAGES["SimpleResponse"]
InputRequest, InputResponse = (
    MESSAGES["StreamingInputCallRequest"], MESSAGES["StreamingInputCallResponse"])
OutputRequest, OutputResponse = (
    MESSAGES["StreamingOutputCallRequest"], MESSAGES["StreamingOutputCallResponse"])


def types_of(name):
    """The classes of a method's request and response."""
    method = METHODS[name]
    return MESSAGES[method.input_type.name], MESSAGES[method.output_type.name]


def payload(size):
    return Payload(body=bytes(size))


def large_request(**fields):
    return SimpleRequest(response_size=LARGE_RESPONSE, payload=payload(LARGE_REQUEST), **fields)


def turn(size, answer):
    return OutputRequest(response_parameters=[ResponseParameters(size=answer)],
                         payload=payload(size))
