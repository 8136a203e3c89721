"""An HTTP/2 client that keeps no rule: frames go out as they are written, and what came back is kept."""

import select
import socket
import ssl
import struct
import time

from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ECHO = "/storeplane.testing.v1.EchoService/Echo"
EXPAND = "/storeplane.testing.v1.EchoService/Expand"
CONVERSE = "/storeplane.testing.v1.EchoService/Converse"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ENDINGS = (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def message(payload):
    return b"\0" + struct.pack(">I", len(payload)) + payload


def varint(number):
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes(digits + [number])


def field(number, payload):
    """A length-prefixed field of a protobuf message."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


class Attacker:
    def __init__(self, port, settings=None, greets=True, acknowledges=True, tls=False, receive_buffer=None,
                 source=None):
        self.started = time.monotonic()
        self.socket = socket.socket()
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket)
        self.socket.settimeout(10)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.buffer = b""
        self.headers = {}  # by stream, trailers added
        self.resets = {}  # by stream
        self.goaway = None
        self.last_streams = []  # of each GOAWAY
        self.has_settings = False
        # Our SETTINGS that the server has not acknowledged.
        self.unacknowledged = 1 if greets else 0
        self.acknowledges = acknowledges
        self.is_over = False
        self.pings = 0
        self.answers_pings = False
        if greets:
            self.send(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    # Sending

    def send(self, data):
        """False when the server has hung up."""
        try:
            self.socket.sendall(data)
            return True
        except ENDINGS:
            self.read_rest()
            return False

    def head(self, stream, path=ECHO, extra=(), end=False, end_headers=True):
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
                  ("te", "trailers"), ("content-type", "application/grpc"), *extra]
        flags = (["END_HEADERS"] if end_headers else []) + (["END_STREAM"] if end else [])
        return HeadersFrame(stream, self.encoder.encode(fields), flags=flags).serialize()

    def call(self, stream, payload=b"", path=ECHO, extra=()):
        """A whole unary call."""
        body, frames = message(payload), b""
        pieces = [body[i:i + 16384] for i in range(0, len(body), 16384)]
        for index, piece in enumerate(pieces):
            flags = ["END_STREAM"] if index == len(pieces) - 1 else []
            frames += DataFrame(stream, piece, flags=flags).serialize()
        return self.head(stream, path, extra) + frames

    def flood(self, chunks):
        """Sends chunk after chunk, and reads what comes meanwhile, until the server hangs up."""
        for chunk in chunks:
            while select.select([self.socket], [], [], 0)[0] and not self.is_over:
                self.read_some()
            if self.is_over or self.goaway is not None or not self.send(chunk):
                return

    def abort(self):
        """Ends the connection, which the server sees also where it does not read."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        time.sleep(0.2)

    def round_trip(self):
        """Until the server has taken in all that was sent."""
        self.send(frame(SETTINGS, 0, 0, b""))
        self.unacknowledged += 1
        self.wait(lambda: self.unacknowledged == 0)

    # Receiving

    def read_some(self):
        """Takes in what comes next. Raises TimeoutError when nothing does."""
        try:
            data = self.socket.recv(65536)
        except ENDINGS:
            data = b""
        if not data:
            self.is_over = True
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                break
            kind, stream = self.buffer[3], int.from_bytes(self.buffer[5:9], "big")
            self.take(kind, self.buffer[4], stream, self.buffer[9:9 + length])
            self.buffer = self.buffer[9 + length:]

    def take(self, kind, flags, stream, payload):
        if kind == HEADERS:
            self.headers.setdefault(stream, {}).update(dict(self.decoder.decode(payload)))
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == GOAWAY:
            code, words = int.from_bytes(payload[4:8], "big"), payload[8:].decode()
            self.last_streams.append(int.from_bytes(payload[:4], "big"))
            self.goaway = f"goaway {code} {words}".strip()
        elif kind == PING and not flags & 1:
            self.pings += 1
            if self.answers_pings:
                self.send(frame(PING, 1, 0, payload))
        elif kind == SETTINGS and flags & 1:
            self.unacknowledged -= 1
        elif kind == SETTINGS:
            self.has_settings = True
            if self.acknowledges:
                self.send(frame(SETTINGS, 1, 0, b""))

    def read_rest(self):
        try:
            while not self.is_over:
                self.read_some()
        except TimeoutError:
            pass

    def wait(self, condition, seconds=10):
        """Reads until the condition holds; false when the connection or the time is over before."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if self.is_over or left <= 0:
                return False
            self.socket.settimeout(left)
            try:
                self.read_some()
            except TimeoutError:
                pass
        return True

    # What became of it

    def ending(self, seconds=10):
        """How the server ended the connection, and when."""
        self.wait(lambda: False, seconds)
        words = self.goaway or "closed"
        return self.timed(words if self.is_over else f"still open {words}")

    def timed(self, words):
        return f"{words} after {time.monotonic() - self.started:.2f} s"

    def answer(self, stream, seconds=10):
        """The gRPC status of a stream, or its HTTP status, or its reset."""
        def fields():
            return self.headers.get(stream, {})
        self.wait(lambda: "grpc-status" in fields() or fields().get(":status", "200") != "200"
                  or stream in self.resets, seconds)
        if "grpc-status" in fields():
            return f"status {fields()['grpc-status']}"
        if ":status" in fields() and fields()[":status"] != "200":
            return f"http {fields()[':status']}"
        if stream in self.resets:
            return f"reset {self.resets[stream]}"
        return self.goaway or ("closed" if self.is_over else "no answer")

    def answers(self, streams, seconds=10):
        """How many streams ended in which way, such as `2 x status 8`."""
        counts = {}
        for stream in streams:
            words = self.answer(stream, seconds)
            counts[words] = counts.get(words, 0) + 1
        return ", ".join(f"{count} x {words}" for words, count in sorted(counts.items()))
