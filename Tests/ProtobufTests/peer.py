"""Python's protobuf as the peer of the Swift tests: all it knows of the contracts is the descriptor
set that is embedded in the binaries.

    peer.py generate FOLDER MESSAGE SEED COUNT   writes messages.bin: random messages
    peer.py mutate FOLDER MESSAGE SEED COUNT     writes messages.bin: the same, damaged
    peer.py compare FOLDER MESSAGE               compares messages.bin with answers.bin
    peer.py http FOLDER METHOD                   prints the method's google.api.http option

FOLDER holds set.binpb. A .bin file holds frames: a length of four bytes, little-endian, and that
many bytes. An answer is one byte, 1 when Swift accepted the message, and the message as Swift
encoded it again.
"""

import pathlib
import random
import struct
import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError

DEPTH_MAX = 4
TEXTS = ["", "a", "naïve", "日本語", "😀 smile", "x" * 300, "line\nbreak", '"quoted"']
LIMITS = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1), Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1), Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}  # fmt: skip


def load(folder):
    files = descriptor_pb2.FileDescriptorSet.FromString((folder / "set.binpb").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return pool


def random_scalar(field, source):
    kind = field.cpp_type
    if kind in LIMITS:
        low, high = LIMITS[kind]
        return source.choice([low, high, source.randint(low, high), source.randint(1, 100)])
    if kind == Field.CPPTYPE_BOOL:
        return source.random() < 0.5
    if kind == Field.CPPTYPE_ENUM:
        return source.choice([value.number for value in field.enum_type.values] + [1000, -1])
    if kind == Field.CPPTYPE_DOUBLE:
        return source.choice([source.uniform(-1e300, 1e300), float("inf"), float("nan"), 0.5])
    if kind == Field.CPPTYPE_FLOAT:
        return source.choice([0.25, -1.5, float("-inf"), 3.0])
    if field.type == Field.TYPE_STRING:
        return source.choice(TEXTS)
    return source.randbytes(source.choice([0, 1, 20, 2000]))


def fill(message, source, depth=0):
    for field in message.DESCRIPTOR.fields:
        if source.random() < (0.5 if depth else 0.2):
            continue
        if field.cpp_type == Field.CPPTYPE_MESSAGE and depth == DEPTH_MAX:
            continue
        if field.message_type and field.message_type.GetOptions().map_entry:
            fill_map(getattr(message, field.name), field.message_type, source, depth)
        elif field.is_repeated:
            for _ in range(source.choice([1, 2, 5, 40])):
                if field.cpp_type == Field.CPPTYPE_MESSAGE:
                    if depth + 1 < DEPTH_MAX:
                        fill(getattr(message, field.name).add(), source, depth + 1)
                else:
                    getattr(message, field.name).append(random_scalar(field, source))
        elif field.cpp_type == Field.CPPTYPE_MESSAGE:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), source, depth + 1)
        else:
            setattr(message, field.name, random_scalar(field, source))


def fill_map(target, entry, source, depth):
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(source.choice([1, 2, 10])):
        name = random_scalar(key, source)
        if value.cpp_type == Field.CPPTYPE_MESSAGE:
            fill(target[name], source, depth + 1)
        else:
            target[name] = random_scalar(value, source)


def mutated(data, source):
    data = bytearray(data)
    for _ in range(source.choice([1, 1, 2, 5])):
        place = source.randrange(len(data) + 1)
        action = source.randrange(5)
        if action == 0:
            data[place:place] = source.randbytes(source.choice([1, 2, 8]))
        elif action == 1:
            del data[place : place + source.choice([1, 2, 8])]
        elif action == 2 and place < len(data):
            data[place] = source.randrange(256)
        elif action == 3 and place < len(data):
            data[place] ^= 1 << source.randrange(8)
        elif action == 4:
            other = source.randrange(len(data) + 1)
            data[place:place] = data[other : other + source.randrange(64)]
    return bytes(data)


def write_frames(path, frames):
    path.write_bytes(b"".join(struct.pack("<I", len(frame)) + frame for frame in frames))


def read_frames(path):
    data, place, frames = path.read_bytes(), 0, []
    while place < len(data):
        (length,) = struct.unpack_from("<I", data, place)
        frames.append(data[place + 4 : place + 4 + length])
        place += 4 + length
    return frames


def generate(folder, message_class, seed, count, is_mutating):
    source = random.Random(int(seed))
    frames = []
    for _ in range(int(count)):
        message = message_class()
        fill(message, source)
        data = message.SerializeToString(deterministic=True)
        frames.append(mutated(data, source) if is_mutating else data)
    write_frames(folder / "messages.bin", frames)


def compare(folder, message_class):
    messages = read_frames(folder / "messages.bin")
    answers = read_frames(folder / "answers.bin")
    if len(messages) != len(answers):
        sys.exit(f"{len(messages)} messages, {len(answers)} answers")
    accepted = 0
    for index, (data, answer) in enumerate(zip(messages, answers)):
        if not answer[0]:
            continue
        accepted += 1
        message, again = message_class(), message_class()
        try:
            message.ParseFromString(data)
        except DecodeError as error:
            sys.exit(f"message {index}: Swift accepts what Python does not ({error}): {data.hex()}")
        message.DiscardUnknownFields()
        again.ParseFromString(answer[1:])
        first, second = (one.SerializeToString(deterministic=True) for one in (message, again))
        if first != second:
            sys.exit(f"message {index} differs: {data.hex()}\nPython: {message}\nSwift: {again}")
    print(accepted)


def http_rule(pool, name):
    method = pool.FindMethodByName(name)
    rule_field = pool.FindExtensionByName("google.api.http")
    options_class = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("google.protobuf.MethodOptions")
    )
    options = options_class.FromString(method.GetOptions().SerializeToString())
    message_factory.GetMessageClassesForFiles(["google/api/annotations.proto"], pool)
    return options.Extensions[rule_field]


def main():
    command, folder, name, *rest = sys.argv[1:]
    folder = pathlib.Path(folder)
    pool = load(folder)
    if command == "http":
        rule = http_rule(pool, name)
        kind = rule.WhichOneof("pattern")
        print(kind, getattr(rule, kind), rule.body)
        return
    message_class = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    if command == "compare":
        compare(folder, message_class)
    else:
        generate(folder, message_class, *rest, is_mutating=command == "mutate")


if __name__ == "__main__":
    main()
