"""Asks a server's reflection as tools do. Each case is "PORT VERSION WHAT [NAME]"; a line each."""

import sys

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_reflection.v1alpha import reflection_pb2

V1 = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
V1ALPHA = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


class Stub:
    """Calls either version; their messages are the same on the wire."""

    def __init__(self, channel, version):
        self.ServerReflectionInfo = channel.stream_stream(
            V1 if version == "v1" else V1ALPHA,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )


def answer(channel, version, what, name=""):
    stub = Stub(channel, version)
    database = ProtoReflectionDescriptorDatabase(channel)
    database._stub = stub
    if what == "services":
        return " ".join(database.get_services())
    if what == "method":
        method = DescriptorPool(database).FindMethodByName(name)
        return f"{method.input_type.full_name} {method.output_type.full_name}"
    if what == "message":
        fields = DescriptorPool(database).FindMessageTypeByName(name).fields
        return " ".join(field.json_name for field in fields)
    if what == "file":
        return database.FindFileByName(name).package
    if what == "extension":
        wanted = reflection_pb2.ExtensionRequest(containing_type=name, extension_number=72295728)
        request = reflection_pb2.ServerReflectionRequest(file_containing_extension=wanted)
        response = next(stub.ServerReflectionInfo(iter([request]), timeout=20))
        files = response.file_descriptor_response.file_descriptor_proto
        return FileDescriptorProto.FromString(files[0]).name
    if what == "extensions":
        return " ".join(str(number) for number in sorted(database.FindAllExtensionNumbers(name)))
    key = {"no-symbol": "file_containing_symbol", "no-file": "file_by_filename"}[what]
    request = reflection_pb2.ServerReflectionRequest(**{key: name})
    response = next(stub.ServerReflectionInfo(iter([request]), timeout=20)).error_response
    return f"{response.error_code} {response.error_message}"


for line in open(sys.argv[1]).read().split("\n"):
    port, *question = line.split(" ")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        print(answer(channel, *question))
