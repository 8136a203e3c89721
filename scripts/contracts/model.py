"""The messages, enums and services of the descriptor set, with what the generators ask of them."""

from dataclasses import dataclass, field

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

from . import names

SCALARS = {
    Field.TYPE_DOUBLE: "Double", Field.TYPE_FLOAT: "Float", Field.TYPE_INT64: "Int64",
    Field.TYPE_UINT64: "UInt64", Field.TYPE_INT32: "Int32", Field.TYPE_FIXED64: "UInt64",
    Field.TYPE_FIXED32: "UInt32", Field.TYPE_UINT32: "UInt32", Field.TYPE_SFIXED32: "Int32",
    Field.TYPE_SFIXED64: "Int64", Field.TYPE_SINT32: "Int32", Field.TYPE_SINT64: "Int64",
    Field.TYPE_BOOL: "Bool", Field.TYPE_STRING: "String", Field.TYPE_BYTES: "[UInt8]",
}  # fmt: skip


@dataclass
class Enum:
    full_name: str
    swift_name: str
    swift_type: str
    comment: list
    values: list  # (Swift case, number, name in the contracts, comment)


@dataclass
class Message:
    full_name: str
    swift_name: str
    swift_type: str
    comment: list
    is_map_entry: bool
    fields: list = field(default_factory=list)
    oneofs: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    enums: list = field(default_factory=list)

    @property
    def is_redacted(self):
        return any(member.is_redacted for member in self.fields)


@dataclass
class Member:
    """A field of a message."""

    name: str
    swift_name: str
    number: int
    kind: int
    type_name: str
    is_repeated: bool
    is_redacted: bool
    comment: list
    oneof: object = None
    message: Message = None
    enum: Enum = None
    is_boxed: bool = False

    @property
    def is_message(self):
        return self.message is not None

    @property
    def is_map(self):
        return self.is_message and self.message.is_map_entry

    @property
    def swift_type(self):
        """The type of one value."""
        if self.is_message:
            return self.message.swift_type
        return self.enum.swift_type if self.enum else SCALARS[self.kind]


@dataclass
class Oneof:
    """A choice of fields. One of a single field only tells whether that field is there, and is
    written as an optional property."""

    name: str
    swift_name: str
    swift_type: str
    comment: list
    members: list = field(default_factory=list)

    @property
    def is_presence(self):
        return len(self.members) == 1


@dataclass
class Method:
    name: str
    swift_name: str
    comment: list
    request: Message
    response: Message
    client_streaming: bool
    server_streaming: bool


@dataclass
class Service:
    full_name: str
    name: str
    comment: list
    methods: list


@dataclass
class File:
    name: str
    package: str
    namespace: str
    messages: list
    enums: list
    services: list


class Model:
    def __init__(self, files):
        self.messages = {}
        self.enums = {}
        self.files = []
        descriptors = [(file, Comments(file)) for file in files]
        for file, comments in descriptors:
            space = names.namespace(file.package)
            self.files.append(File(
                file.name, file.package, space,
                [self.declare(message, file.package, space, comments, (4, index))
                 for index, message in enumerate(file.message_type)],
                [self.declare_enum(enum, file.package, space, comments, (5, index))
                 for index, enum in enumerate(file.enum_type)],
                [],
            ))  # fmt: skip
        for file, (descriptor, comments) in zip(self.files, descriptors):
            file.services = [
                self.service(service, file.package, comments, (6, index))
                for index, service in enumerate(descriptor.service)
            ]
        for message in self.messages.values():
            for member in message.fields:
                member.message = self.messages.get(member.type_name)
                member.enum = self.enums.get(member.type_name)
        for message in self.messages.values():
            for member in message.fields:
                member.is_boxed = self.is_boxed(message, member)

    def declare(self, descriptor, scope, swift_scope, comments, path):
        full_name = f"{scope}.{descriptor.name}"
        swift_name = names.swift_type_name(descriptor.name)
        swift_type = f"{swift_scope}.{swift_name}"
        message = Message(
            full_name, swift_name, swift_type, comments.at(path), descriptor.options.map_entry
        )
        self.messages[full_name] = message
        message.messages = [
            self.declare(nested, full_name, swift_type, comments, path + (3, index))
            for index, nested in enumerate(descriptor.nested_type)
        ]
        message.enums = [
            self.declare_enum(enum, full_name, swift_type, comments, path + (4, index))
            for index, enum in enumerate(descriptor.enum_type)
        ]
        message.oneofs = [
            Oneof(oneof.name, names.swift_member(oneof.name),
                  f"{swift_type}.{names.c_camel(oneof.name)}", comments.at(path + (8, index)))
            for index, oneof in enumerate(descriptor.oneof_decl)
        ]  # fmt: skip
        for index, field_descriptor in enumerate(descriptor.field):
            member = Member(
                field_descriptor.name, names.swift_member(field_descriptor.name),
                field_descriptor.number, field_descriptor.type,
                field_descriptor.type_name.removeprefix("."),
                field_descriptor.label == Field.LABEL_REPEATED,
                field_descriptor.options.debug_redact, comments.at(path + (2, index)),
            )  # fmt: skip
            if field_descriptor.HasField("oneof_index"):
                member.oneof = message.oneofs[field_descriptor.oneof_index]
                member.oneof.members.append(member)
            message.fields.append(member)
        return message

    def declare_enum(self, descriptor, scope, swift_scope, comments, path):
        full_name = f"{scope}.{descriptor.name}"
        prefix = names.upper_snake(descriptor.name) + "_"
        if not all(value.name.startswith(prefix) for value in descriptor.value):
            prefix = ""
        if descriptor.options.allow_alias or any(value.number < 0 for value in descriptor.value):
            raise SystemExit(f"{full_name}: aliases and negative values are not supported")
        swift_name = names.swift_type_name(descriptor.name)
        enum = Enum(
            full_name, swift_name, f"{swift_scope}.{swift_name}", comments.at(path),
            [(names.swift_member(value.name.removeprefix(prefix)), value.number, value.name,
              comments.at(path + (2, index)))
             for index, value in enumerate(descriptor.value)],
        )  # fmt: skip
        self.enums[full_name] = enum
        return enum

    def service(self, descriptor, package, comments, path):
        return Service(
            f"{package}.{descriptor.name}", descriptor.name, comments.at(path),
            [Method(
                method.name, names.swift_method(method.name), comments.at(path + (2, index)),
                self.messages[method.input_type.removeprefix(".")],
                self.messages[method.output_type.removeprefix(".")],
                method.client_streaming, method.server_streaming,
            ) for index, method in enumerate(descriptor.method)],
        )  # fmt: skip

    def is_boxed(self, message, member):
        """Whether a field would make its message contain itself, which a Swift struct cannot."""
        if not member.is_message or member.is_repeated:
            return False
        reached, waiting = set(), [member.message]
        while waiting:
            current = waiting.pop()
            if current.full_name in reached:
                continue
            reached.add(current.full_name)
            waiting += [
                other.message
                for other in current.fields
                if other.is_message and not other.is_repeated
            ]
        return message.full_name in reached


class Comments:
    """The comments before the declarations of one of our own files, as lines."""

    def __init__(self, file):
        own = file.package.startswith(("storeplane.", "grpc.testing"))
        self.lines = {
            tuple(location.path): [line.strip() for line in location.leading_comments.splitlines()]
            for location in file.source_code_info.location
            if location.leading_comments and own
        }

    def at(self, path):
        return self.lines.get(tuple(path), [])
