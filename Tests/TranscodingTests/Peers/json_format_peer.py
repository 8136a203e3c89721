"""Makes random messages and judges conversions by Python's json_format.

Each case is a line, and so is each answer:
  generate SET SEED     answers the bytes and the JSON of a random AllKinds, both in hexadecimal
  verify SET M B J      answers "same" if bytes B equal message M and JSON J says what M says
SET is a file with a serialized FileDescriptorSet.
"""

import functools
import json
import random
import sys

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.descriptor_pool import DescriptorPool

PACKAGE = "storeplane.testing.v1."
KNOWN = "google.protobuf."
DEPTH_MAX = 4


@functools.cache
def pool(path):
    result = DescriptorPool()
    with open(path, "rb") as file:
        for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            result.Add(proto)
    return result


def make(path, name):
    return message_factory.GetMessageClass(pool(path).FindMessageTypeByName(name))()


class Generator:
    def __init__(self, path, seed):
        self.path = path
        self.random = random.Random(seed)

    def text(self):
        alphabet = "abcXYZ019 _-\"\\/\n\t\x01\x7f<>&äß€漢😀\u2028"
        return "".join(self.random.choice(alphabet) for _ in range(self.random.randrange(9)))

    def bits(self, low, high):
        edges = [low, high, 0, 1, max(low, -1)]
        if self.random.random() < 0.3:
            return self.random.choice(edges)
        return min(high, max(low, self.random.getrandbits(self.random.randrange(1, 65)) + low // 2))

    def double(self, finite=False):
        edges = [0.0, -0.0, 0.1, 1e300, 5e-324, -1.5, 1e16, 123456789.125]
        if not finite:
            edges += [float("nan"), float("inf"), float("-inf")]
        return self.random.choice(edges + [self.random.uniform(-1e6, 1e6)] * 4)

    def scalar(self, field):
        kind = field.type
        if kind in (Field.TYPE_INT32, Field.TYPE_SINT32, Field.TYPE_SFIXED32):
            return self.bits(-(2**31), 2**31 - 1)
        if kind in (Field.TYPE_INT64, Field.TYPE_SINT64, Field.TYPE_SFIXED64):
            return self.bits(-(2**63), 2**63 - 1)
        if kind in (Field.TYPE_UINT32, Field.TYPE_FIXED32):
            return self.bits(0, 2**32 - 1)
        if kind in (Field.TYPE_UINT64, Field.TYPE_FIXED64):
            return self.bits(0, 2**64 - 1)
        if kind == Field.TYPE_DOUBLE:
            return self.double()
        if kind == Field.TYPE_FLOAT:
            return self.random.choice([0.0, 0.1, -2.5, 3.4e38, 1e-30, float("inf"), float("nan")])
        if kind == Field.TYPE_BOOL:
            return self.random.random() < 0.5
        if kind == Field.TYPE_STRING:
            return self.text()
        if kind == Field.TYPE_BYTES:
            return self.random.randbytes(self.random.randrange(7))
        return self.random.choice([0, 1, 2, 3, 3, 77, -5])

    def value(self, message, depth):
        kind = self.random.randrange(6 if depth < DEPTH_MAX else 4)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = self.double(finite=True)
        elif kind == 2:
            message.string_value = self.text()
        elif kind == 3:
            message.bool_value = self.random.random() < 0.5
        elif kind == 4:
            message.struct_value.SetInParent()
            self.fill(message.struct_value, depth + 1)
        else:
            message.list_value.SetInParent()
            self.fill(message.list_value, depth + 1)

    def known(self, message, depth):
        name = message.DESCRIPTOR.full_name[len(KNOWN) :]
        if name == "Value":
            self.value(message, depth)
        elif name == "Struct":
            for _ in range(self.random.randrange(4)):
                self.value(message.fields[self.text()], depth)
        elif name == "ListValue":
            for _ in range(self.random.randrange(4)):
                self.value(message.values.add(), depth)
        elif name == "Timestamp":
            edges = [-62135596800, 253402300799, -1, 0, 951782400, 4107542399]
            message.seconds = self.random.choice(
                edges + [self.random.randrange(-62135596800, 253402300799)] * 4
            )
            message.nanos = self.nanos()
        elif name == "Duration":
            sign = self.random.choice([-1, 1])
            message.seconds = sign * self.random.choice([0, 1, 315576000000, 86399])
            message.nanos = sign * self.nanos()
        elif name == "FieldMask":
            for _ in range(self.random.randrange(4)):
                message.paths.append(self.random.choice(["a", "user_name", "a_b.c_d", "x1.y2"]))
        elif name == "Any":
            inner = make(self.path, self.random.choice([PACKAGE + "Leaf", KNOWN + "Timestamp",
                KNOWN + "Struct", KNOWN + "StringValue", PACKAGE + "WellKnown"]))  # fmt: skip
            self.fill(inner, depth + 1)
            message.Pack(inner, deterministic=True)
        else:
            return False
        return True

    def nanos(self):
        return self.random.choice([0, 1, 999999999, 120000000, 5000, 123456000])

    def fill(self, message, depth):
        if message.DESCRIPTOR.full_name.startswith(KNOWN) and self.known(message, depth):
            return
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.35:
                continue
            if field.message_type and depth >= DEPTH_MAX:
                continue
            if field.message_type and field.message_type.GetOptions().map_entry:
                self.map(getattr(message, field.name), field, depth)
            elif field.is_repeated:
                for _ in range(self.random.randrange(4)):
                    if field.message_type:
                        self.fill(getattr(message, field.name).add(), depth + 1)
                    else:
                        getattr(message, field.name).append(self.scalar(field))
            elif field.message_type:
                getattr(message, field.name).SetInParent()
                self.fill(getattr(message, field.name), depth + 1)
            else:
                setattr(message, field.name, self.scalar(field))

    def map(self, container, field, depth):
        key, value = (field.message_type.fields_by_name[name] for name in ("key", "value"))
        for _ in range(self.random.randrange(4)):
            if value.message_type:
                self.fill(container[self.scalar(key)], depth + 1)
            else:
                container[self.scalar(key)] = self.scalar(value)


def generate(path, seed):
    generator = Generator(path, seed)
    message = make(path, PACKAGE + "AllKinds")
    generator.fill(message, 0)
    text = json_format.MessageToJson(
        message,
        preserving_proto_field_name=generator.random.random() < 0.5,
        always_print_fields_with_no_presence=generator.random.random() < 0.5,
        use_integers_for_enums=generator.random.random() < 0.3,
        ensure_ascii=generator.random.random() < 0.5,
        descriptor_pool=pool(path),
    )
    return f"{message.SerializeToString(deterministic=True).hex()} {text.encode().hex()}"


def difference(theirs, ours, path="$"):
    """Where two documents first differ; nothing where they do not."""
    if type(theirs) is dict and type(ours) is dict:
        for key in {**theirs, **ours}:
            if key not in theirs or key not in ours:
                return f"{path}.{key} is only {'ours' if key in ours else 'theirs'}"
            if found := difference(theirs[key], ours[key], f"{path}.{key}"):
                return found
    elif type(theirs) is list and type(ours) is list and len(theirs) == len(ours):
        for index, pair in enumerate(zip(theirs, ours)):
            if found := difference(*pair, f"{path}[{index}]"):
                return found
    elif theirs != ours:
        return f"{path} is {ours!r}, not {theirs!r}".replace("\n", " ")
    return ""


def document(path, message):
    return json.loads(
        json_format.MessageToJson(
            message, always_print_fields_with_no_presence=True, descriptor_pool=pool(path)
        )
    )


def verify(path, message, converted, text):
    original, ours, parsed = (make(path, PACKAGE + "AllKinds") for _ in range(3))
    original.ParseFromString(bytes.fromhex(message))
    wanted = document(path, original)
    ours.ParseFromString(bytes.fromhex(converted))
    text = bytes.fromhex(text).decode()
    json_format.Parse(text, parsed, descriptor_pool=pool(path))
    for what, found in [
        ("bytes", document(path, ours)),
        ("JSON", json.loads(text)),
        ("JSON as parsed", document(path, parsed)),
    ]:
        if where := difference(wanted, found):
            return f"{what}: {where}"
    # Maps inside an Any are bytes in any order; all else has one form.
    if "@type" not in text:
        if original.SerializeToString(deterministic=True) != ours.SerializeToString(
            deterministic=True
        ):
            return "bytes differ"
    return "same"


for line in open(sys.argv[1]).read().split("\n"):
    what, *arguments = line.split(" ")
    print(generate(*arguments) if what == "generate" else verify(*arguments))
