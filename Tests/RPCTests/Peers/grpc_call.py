"""A gRPC call by way of h2, with every message's compression in the caller's hands."""

import base64
import gzip
import socket

import testing_messages as t
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived


def frame(message):
    """A message, a pair of one and whether to compress it, or bytes as they are."""
    if isinstance(message, bytes):
        return message
    message, compressed = message if isinstance(message, tuple) else (message, False)
    data = message.SerializeToString()
    if compressed:
        data = gzip.compress(data)
    return bytes([compressed]) + len(data).to_bytes(4, "big") + data


class Call:
    """Made and finished by the constructor: `headers` has the trailers too, `compressed` a flag for
    each of `messages`, `reset` the code of a RST_STREAM."""

    def __init__(self, port, method, requests, *, encoding=None, accept=None, metadata=(),
                 changes=None):  # fmt: skip
        self.headers, self.messages, self.compressed, self.reset = {}, [], [], None
        self.response_type = t.types_of(method)[1]
        head = {":method": "POST", ":scheme": "http", ":path": f"/{t.SERVICE}/{method}",
                ":authority": "localhost", "te": "trailers", "content-type": "application/grpc",
                "grpc-encoding": encoding, "grpc-accept-encoding": accept} | (changes or {})
        fields = [(name, value) for name, value in head.items() if value is not None]
        self.connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        with socket.create_connection(("127.0.0.1", port)) as self.socket:
            self.socket.settimeout(20)
            self.connection.send_headers(1, fields + list(metadata))
            self.body, self.unsent, self.done = b"", b"".join(map(frame, requests)), False
            self.write()
            while not self.done:
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("the server hung up")
                for event in self.connection.receive_data(data):
                    self.handle(event)
                self.write()
        while self.body:
            self.take_message()

    def write(self):
        while not self.done and self.unsent is not None:
            room = min(self.connection.local_flow_control_window(1),
                       self.connection.max_outbound_frame_size)
            if self.unsent and room == 0:
                break
            part, rest = self.unsent[:room], self.unsent[room:]
            self.connection.send_data(1, part, end_stream=not rest)
            self.unsent = rest or None
        self.socket.sendall(self.connection.data_to_send())

    def handle(self, event):
        if isinstance(event, (ResponseReceived, TrailersReceived)):
            self.headers |= dict(event.headers)
        elif isinstance(event, DataReceived):
            self.body += event.data
            self.connection.acknowledge_received_data(event.flow_controlled_length, 1)
        elif isinstance(event, StreamEnded):
            self.done = True
        elif isinstance(event, StreamReset):
            self.done, self.reset = True, event.error_code

    def take_message(self):
        length = int.from_bytes(self.body[1:5], "big")
        data, flag = self.body[5:5 + length], bool(self.body[0])
        self.body = self.body[5 + length:]
        self.compressed.append(flag)
        self.messages.append(self.response_type.FromString(gzip.decompress(data) if flag else data))

    @property
    def status(self):
        return int(self.headers.get("grpc-status", -1))

    def binary_trailer(self, name):
        value = self.headers[name]
        return base64.b64decode(value + "=" * (-len(value) % 4))
