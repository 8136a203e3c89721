"""Writes the services: method descriptors, handler protocols and typed clients."""

from .swift_messages import HEADER
from .writer import Writer


def file(file):
    writer = Writer(HEADER.format(source=file.name))
    writer.line()
    writer.line("package import RPC")
    methods = [method for service in file.services for method in service.methods]
    if any(not method.client_streaming and not method.server_streaming for method in methods):
        writer.line("import RPCCore")
    for service in file.services:
        writer.line()
        with writer.block(f"extension {file.namespace} {{"):
            write_methods(writer, service)
            writer.line()
            write_handler(writer, service)
            writer.line()
            write_client(writer, service)
        writer.line()
        write_routes(writer, file, service)
    return writer.text()


def write_methods(writer, service):
    writer.line(f"/// The methods of `{service.full_name}`.")
    with writer.block(f"package enum {service.name}Methods {{"):
        writer.line(f'package static let service = "{service.full_name}"')
        for method in service.methods:
            with writer.block(
                f"package static let {method.swift_name} = MethodDescriptor(", end=")"
            ):
                writer.line(f'service: "{service.full_name}", name: "{method.name}",')
                writer.line(
                    f"clientStreaming: {swift(method.client_streaming)}, "
                    f"serverStreaming: {swift(method.server_streaming)}"
                )


def swift(value):
    return "true" if value else "false"


def request_parameter(method):
    if method.client_streaming:
        return "requests", f"RequestReader<{method.request.swift_type}>"
    return "request", method.request.swift_type


def write_handler(writer, service):
    writer.comment(service.comment)
    with writer.block(f"package protocol {service.name}Handler {{"):
        for index, method in enumerate(service.methods):
            if index:
                writer.line()
            writer.comment(method.comment)
            name, request = request_parameter(method)
            writer.line(f"func {method.swift_name}(")
            responses = (
                f"responses: ResponseWriter<{method.response.swift_type}>, "
                if method.server_streaming
                else ""
            )
            writer.line(f"  _ {name}: {request}, {responses}context: ServerContext")
            result = "" if method.server_streaming else f" -> {method.response.swift_type}"
            writer.line(f") async throws{result}")


def write_routes(writer, file, service):
    with writer.block(f"extension {file.namespace}.{service.name}Handler {{"):
        writer.line("/// The service's methods, to be put into a server.")
        with writer.block("package var methods: [ServerMethod] {"):
            writer.line("[")
            with writer.indent():
                for method in service.methods:
                    write_route(writer, file, service, method)
            writer.line("]")


def write_route(writer, file, service, method):
    kind = {
        (False, False): "unary", (True, False): "clientStreaming",
        (False, True): "serverStreaming", (True, True): "bidirectional",
    }[method.client_streaming, method.server_streaming]  # fmt: skip
    descriptor = f"{file.namespace}.{service.name}Methods.{method.swift_name}"
    name, request = request_parameter(method)
    parameters, arguments = [f"{name}: {request}"], [name]
    if method.server_streaming:
        parameters.append(f"responses: ResponseWriter<{method.response.swift_type}>")
        arguments.append("responses: responses")
    parameters.append("context: ServerContext")
    arguments.append("context: context")
    if kind == "unary":
        with writer.block(f".unary({descriptor}) {{", end="},"):
            writer.line("message, memoryBytes throws(RPCError) in")
            writer.line(
                f"let request = try {request}(received: message, memoryBytes: &memoryBytes)"
            )
            with writer.block("return { sender in", end="}"):
                writer.line(
                    f"try sender.send(try await self.{method.swift_name}"
                    "(request, context: sender.context))"
                )
        return
    with writer.block(f".{kind}({descriptor}) {{", end="},"):
        writer.line(f"({', '.join(parameters)}) in")
        writer.line(f"try await self.{method.swift_name}({', '.join(arguments)})")


def write_client(writer, service):
    writer.line(f"/// Calls `{service.full_name}`.")
    with writer.block(f"package struct {service.name}Client {{"):
        writer.line("package let channel: Channel")
        writer.line()
        writer.line("package init(channel: Channel) { self.channel = channel }")
        for method in service.methods:
            writer.line()
            writer.comment(method.comment)
            write_call(writer, service, method)


def write_call(writer, service, method):
    request, response = method.request.swift_type, method.response.swift_type
    descriptor = f"{service.name}Methods.{method.swift_name}"
    options = "options: CallOptions = CallOptions()"
    writer.line(f"package func {method.swift_name}(")
    if not method.client_streaming:
        result = f"ResponseStream<{response}>" if method.server_streaming else response
        writer.line(f"  _ request: {request}, {options}")
        call = "serverStreaming" if method.server_streaming else "unary"
        arguments = "request, options"
    elif method.server_streaming:
        result = f"(RequestWriter<{request}>, ResponseStream<{response}>)"
        writer.line(f"  {options}")
        call, arguments = "bidirectional", "options"
    else:
        result = response
        writer.line(f"  {options},")
        writer.line(f"  _ body: (RequestWriter<{request}>) async throws -> Void")
        call, arguments = "clientStreaming", "options, body"
    with writer.block(f") async throws -> {result} {{"):
        if call == "unary":
            writer.line(f"var response = {response}()")
            framed = "framed: request.framed(options.encoding)"
            with writer.block(f"let call = channel.unaryCall({descriptor}, {framed}, options) {{"):
                writer.line("bytes throws(RPCError) in")
                writer.line(f"response = try {response}(received: bytes)")
            writer.line("try await call.run()")
            writer.line("return response")
            return
        writer.line(f"try await channel.{call}({descriptor}, {arguments})")
