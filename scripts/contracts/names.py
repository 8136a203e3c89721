"""How a name in a .proto file is written in C (as protoc-c does it) and in Swift."""

NAMESPACES = {
    "google.protobuf": "GoogleProtobuf",
    "google.rpc": "GoogleRPC",
    "grpc.health.v1": "GRPCHealthV1",
    "grpc.reflection.v1": "GRPCReflectionV1",
    "grpc.reflection.v1alpha": "GRPCReflectionV1Alpha",
    "grpc.testing": "GRPCTesting",
    "storeplane.audit.v1": "AuditV1",
    "storeplane.config.v1": "ConfigV1",
    "storeplane.gateway.v1": "GatewayV1",
    "storeplane.helmworker.v1": "HelmWorkerV1",
    "storeplane.provisioner.v1": "ProvisionerV1",
    "storeplane.testing.v1": "TestingV1",
}

# Names that Swift would not take for a type, with those used instead.
TYPE_NAMES = {"Any": "AnyMessage", "Type": "TypeMessage", "Protocol": "ProtocolMessage"}

INITIALISMS = {"id": "ID", "ids": "IDs", "json": "JSON", "uri": "URI", "url": "URL"}

C_KEYWORDS = set(
    """and and_eq asm auto bitand bitor bool break case catch char class compl const const_cast
    continue default delete do double dynamic_cast else enum explicit extern false float for friend
    goto if inline int long mutable namespace new not not_eq operator or or_eq private protected
    public register reinterpret_cast return short signed sizeof static static_cast struct switch
    template this throw true try typedef typeid typename union unsigned using virtual void volatile
    wchar_t while xor xor_eq""".split()
)

SWIFT_KEYWORDS = set(
    """associatedtype as any break case catch class continue default defer deinit do else enum
    extension fallthrough false fileprivate for func guard if import in inout internal is let nil
    operator package precedencegroup private protocol public repeat rethrows return some static
    struct subscript super switch throw throws true try typealias var where while""".split()
)

# Names that not even backticks make usable as a member.
SWIFT_RESERVED_MEMBERS = {"self", "init"}


def namespace(package):
    """The Swift namespace of a package."""
    if package not in NAMESPACES:
        raise SystemExit(
            f"package {package} has no Swift namespace: add it to NAMESPACES in {__file__}"
        )
    return NAMESPACES[package]


def c_camel(name):
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def c_lower(name):
    result, was_upper = "", True
    for character in name:
        if character.isupper() and not was_upper:
            result += "_"
        result += character.lower()
        was_upper = character.isupper()
    return result


def c_type(full_name):
    """The C type of a message or an enum, by its full name without the leading dot."""
    return "__".join(c_camel(part) for part in full_name.split("."))


def c_symbol(full_name):
    """The prefix of a message's C symbols."""
    return "__".join(c_lower(part) for part in full_name.split("."))


def c_field(name):
    lower = name.lower()
    return lower + "_" if lower in C_KEYWORDS else lower


def c_member(name):
    """A C struct's member as Swift code writes it."""
    member = c_field(name)
    return f"`{member}`" if member in SWIFT_KEYWORDS | SWIFT_RESERVED_MEMBERS else member


def swift_words(words):
    first, *rest = [word.lower() for word in words if word]
    return first + "".join(INITIALISMS.get(word, word[:1].upper() + word[1:]) for word in rest)


def swift_member(snake_case):
    """A property or an enum case."""
    return escaped(swift_words(snake_case.split("_")))


def escaped(name):
    if name in SWIFT_RESERVED_MEMBERS:
        return name + "_"
    return f"`{name}`" if name in SWIFT_KEYWORDS else name


def swift_type_name(name):
    return TYPE_NAMES.get(name, name)


def swift_method(camel_case):
    return escaped(camel_case[:1].lower() + camel_case[1:])


def upper_snake(camel_case):
    return c_lower(camel_case).upper()
