"""Opens connections to an HTTP/2 server, makes one call on each, and prints what each adds to the
resident memory of the server's process, in KB."""

import argparse
import pathlib
import re
import resource
import socket
import ssl
import struct
import sys

DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
MESSAGE = b"\x00\x00\x00\x00\x0d\x0a\x0bhello world"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    """A literal without indexing and without Huffman coding (RFC 7541, section 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(options):
    fields = [
        (":method", "GET" if options.get else "POST"),
        (":scheme", "https" if options.tls else "http"),
        (":path", options.path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    for header in options.header:
        name, value = header.split(": ", 1)
        fields.append((name, value))
    block = b"".join(field(*each) for each in fields)
    ends = END_STREAM if options.get else 0
    request = frame(HEADERS, END_HEADERS | ends, 1, block)
    return request if options.get else request + frame(DATA, END_STREAM, 1, MESSAGE)


def connect(options, context):
    connection = socket.create_connection(("127.0.0.1", options.port))
    connection.settimeout(10)
    return context.wrap_socket(connection) if context else connection


def make_call(connection, request):
    """Returns when the stream has ended well."""
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"") + request)
    received = b""
    while True:
        while len(received) >= 9:
            length = int.from_bytes(received[:3], "big")
            if len(received) < 9 + length:
                break
            kind, flags = received[3], received[4]
            received = received[9 + length :]
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0, b""))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return
            if kind in (3, 7):
                sys.exit("idle_connections: the server refused a call")
        chunk = connection.recv(65536)
        if not chunk:
            sys.exit("idle_connections: the server closed a connection")
        received += chunk


def resident_kb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("pid", type=int, help="the server's process")
    parser.add_argument("path", help="what is called")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--warm-up", type=int, default=100, help="connections before the first look")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--get", action="store_true", help="a GET without a body")
    parser.add_argument("--header", action="append", default=[], help="NAME: VALUE")
    options = parser.parse_args()

    wanted = options.connections + options.warm_up + 64
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < wanted:
        sys.exit(f"idle_connections: needs {wanted} file descriptors, the limit is {most} (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
    request = call(options)
    connections = []

    def add(count):
        for _ in range(count):
            connection = connect(options, context)
            make_call(connection, request)
            connections.append(connection)
        return resident_kb(options.pid)

    before = add(options.warm_up)
    print(f"{(add(options.connections) - before) / options.connections:.2f}")


main()
