"""Reads the .proto files into one FileDescriptorSet, and makes the variants that others need."""

import pathlib
import subprocess
import sys
import tempfile

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

# Files of others that get Swift types, beside all of our own.
FOREIGN_FILES = [
    "google/protobuf/any.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/wrappers.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
]

# The scanner marks the message fields it has seen in the bits of one 64-bit word.
FIELDS_MAX = 64


def read(proto_root):
    """All files, in an order where each comes after those it imports, with comments."""
    own = sorted(str(path.relative_to(proto_root)) for path in proto_root.rglob("*.proto"))
    tools = pathlib.Path(grpc_tools.__file__).parent
    with tempfile.NamedTemporaryFile(suffix=".binpb") as output:
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto_root}", f"-I{tools.parent}",
             f"-I{tools / '_proto'}", "--include_imports", "--include_source_info",
             f"--descriptor_set_out={output.name}", *own, *FOREIGN_FILES],
            check=True,
        )  # fmt: skip
        files = descriptor_pb2.FileDescriptorSet.FromString(output.read())
    health = descriptor_pb2.FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    for file in [health, alpha, stable_reflection(alpha)]:
        file.name = file.package.replace(".", "/") + "/" + file.name.rsplit("/", 1)[-1]
        for message in file.message_type:
            fill_json_names(message)
        files.file.append(file)
    for file in files.file:
        for message in file.message_type:
            check(file, message)
    return files


def stable_reflection(alpha):
    """grpc.reflection.v1, which is v1alpha under another name."""
    stable = descriptor_pb2.FileDescriptorProto()
    stable.CopyFrom(alpha)
    stable.package = "grpc.reflection.v1"
    stable.name = stable.name.replace("v1alpha", "v1")

    def renamed(name):
        return name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")

    for message in stable.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = renamed(field.type_name)
    for service in stable.service:
        for method in service.method:
            method.input_type = renamed(method.input_type)
            method.output_type = renamed(method.output_type)
    stable.ClearField("options")
    return stable


def fill_json_names(message):
    for field in message.field:
        first, *rest = field.name.split("_")
        field.json_name = first + "".join(word[:1].upper() + word[1:] for word in rest)
    for nested in message.nested_type:
        fill_json_names(nested)


def check(file, message):
    if is_generated(file) and len(message.field) > FIELDS_MAX:
        raise SystemExit(
            f"{file.name}: {message.name} has {len(message.field)} fields, over {FIELDS_MAX}: "
            "move some into a message of their own"
        )
    for nested in message.nested_type:
        check(file, nested)


def is_generated(file):
    """Whether a file gets C and Swift code; the others are only in the descriptor set."""
    return file.package.startswith(("storeplane.", "grpc.")) or file.name in FOREIGN_FILES


def embedded(files):
    """The set as it is embedded: without comments and places in files."""
    result = descriptor_pb2.FileDescriptorSet()
    for file in files.file:
        copy = result.file.add()
        copy.CopyFrom(file)
        copy.ClearField("source_code_info")
    return result


def for_protoc_c(files):
    """The set as protoc-c 1.4 understands it: messages and enums alone, without options, and with a
    one-member oneof for each `optional` field."""
    generated = {file.name for file in files.file if is_generated(file)}
    result = descriptor_pb2.FileDescriptorSet()
    for file in files.file:
        if file.name not in generated:
            continue
        copy = result.file.add()
        copy.CopyFrom(file)
        dependencies = [name for name in copy.dependency if name in generated]
        for field in ["dependency", "public_dependency", "service", "extension", "options",
                      "source_code_info"]:  # fmt: skip
            copy.ClearField(field)
        copy.dependency.extend(dependencies)
        # (pb_c_file).gen_pack_helpers = false: nothing calls them.
        copy.options.MergeFromString(bytes([0xDA, 0x3F, 0x02, 0x10, 0x00]))
        for message in copy.message_type:
            simplify(message)
        for enum in copy.enum_type:
            simplify_enum(enum)
    return result


def simplify(message):
    map_entry = message.options.map_entry
    message.ClearField("options")
    if map_entry:
        message.options.map_entry = True
    for field in message.field:
        packed = field.options.packed if field.options.HasField("packed") else None
        field.ClearField("options")
        if packed is not None:
            field.options.packed = packed
        field.ClearField("proto3_optional")
    for nested in message.nested_type:
        simplify(nested)
    for enum in message.enum_type:
        simplify_enum(enum)


def simplify_enum(enum):
    enum.ClearField("options")
    for value in enum.value:
        value.ClearField("options")
