"""The rules of RFC 9113 and RFC 7541 that a server must enforce, tested with raw frames.

Each case is `name port`, or `port` alone for the list of names; prints what is wrong, or ok.
The sections are those of the public h2spec list, which follow RFC 7540 where the RFCs differ.
"""

import socket
import struct
import sys
from pathlib import Path

from hpack import Decoder, Encoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32
CODES = {name: code for code, name in enumerate([
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM"])}  # fmt: skip
LARGEST = 2**31 - 1
SERVICE = "/storeplane.testing.v1.EchoService/"
FIELDS = [(":method", "POST"), (":scheme", "http"), (":path", SERVICE + "Echo"),
          (":authority", "localhost"), ("te", "trailers"), ("content-type", "application/grpc")]
# Asks for three responses of a byte each.
EXPAND = b"\x00\x00\x00\x00\x05\x0a\x01a\x10\x03"
EMPTY_MESSAGE = bytes(5)


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def block(fields=FIELDS, extra=(), without=()):
    """A header block without references to anything sent before."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode([f for f in fields if f[0] not in without] + list(extra))


def headers(stream=1, flags=END_HEADERS | END_STREAM, payload=None, **changes):
    return frame(HEADERS, flags, stream, block(**changes) if payload is None else payload)


def opened(stream=1):
    """A request whose body is still to come."""
    return headers(stream, END_HEADERS)


def half_closed(stream=1):
    """A request that is complete, and whose response waits for a window."""
    path = [(":path", SERVICE + "Expand") if f[0] == ":path" else f for f in FIELDS]
    return (frame(SETTINGS, payload=setting(4, 0)) + headers(stream, END_HEADERS, fields=path)
            + frame(DATA, END_STREAM, stream, EXPAND))  # fmt: skip


def setting(identifier, value):
    return struct.pack(">HI", identifier, value)


def settings(identifier, value):
    return frame(SETTINGS, payload=setting(identifier, value))


def rst(stream=1, code=8):
    return frame(RST, stream=stream, payload=struct.pack(">I", code))


def update(stream, increment):
    return frame(UPDATE, stream=stream, payload=struct.pack(">I", increment))


def priority(stream=1, dependency=0, weight=15, exclusive=False):
    word = dependency | (exclusive << 31)
    return frame(PRIORITY, stream=stream, payload=struct.pack(">IB", word, weight))


def with_priority(stream, dependency):
    payload = struct.pack(">IB", dependency, 15) + block()
    return headers(stream, END_HEADERS | END_STREAM | WITH_PRIORITY, payload)


def message(body=EMPTY_MESSAGE, flags=END_STREAM, stream=1):
    return frame(DATA, flags, stream, body)


def split(stream=1, pieces=3, last=END_HEADERS):
    """A header block over several frames."""
    whole = block()
    size = len(whole) // pieces + 1
    parts = [whole[i:i + size] for i in range(0, len(whole), size)]
    sent = frame(HEADERS, END_STREAM, stream, parts[0])
    for part in parts[1:-1]:
        sent += frame(CONTINUATION, 0, stream, part)
    return sent + frame(CONTINUATION, last, stream, parts[-1])


def raw_field(data):
    """A request with bytes of HPACK at the end of its header block."""
    return headers(payload=block() + data)


def large(stream=1):
    """A header block of more than one frame's size, in one frame."""
    return headers(stream, payload=block(extra=[("x-large", "x" * 20000)]))


def settings_in(data):
    """How many frames of `data` ask for an acknowledgement."""
    count = 0
    while len(data) >= 9:
        count += data[3] == SETTINGS and not data[4] & ACK
        data = data[9 + int.from_bytes(data[:3], "big"):]
    return count


class Outcome:
    """What the server did: the frames that it sent, and whether it hung up."""

    def __init__(self, port, sent, preface=PREFACE + frame(SETTINGS)):
        self.frames, self.is_closed, self.statuses = [], False, {}
        self.decoder, self.data = Decoder(), b""
        self.acks, self.awaited = 0, settings_in(preface[len(PREFACE):])
        with socket.create_connection(("127.0.0.1", port)) as self.socket:
            self.socket.settimeout(15)
            try:
                self.socket.sendall(preface)
                for step in sent if isinstance(sent, list) else [sent]:
                    self.socket.sendall(step)
                    self.awaited += settings_in(step)
                    # Acknowledgements overtake answers, but a second one comes after what the
                    # server had to say to all that came before the first.
                    self.exchange_settings()
                    self.exchange_settings()
            except (BrokenPipeError, ConnectionResetError):
                self.is_closed = True

    def exchange_settings(self):
        if self.is_closed:
            return
        self.socket.sendall(frame(SETTINGS))
        self.awaited += 1
        while self.acks < self.awaited:
            part = self.socket.recv(65536)
            if not part:
                self.is_closed = True
                return
            self.data += part
            self.take_frames()

    def take_frames(self):
        while len(self.data) >= 9 and len(self.data) >= 9 + int.from_bytes(self.data[:3], "big"):
            length = int.from_bytes(self.data[:3], "big")
            kind, flags = self.data[3], self.data[4]
            stream = struct.unpack(">I", self.data[5:9])[0]
            payload, self.data = self.data[9:9 + length], self.data[9 + length:]
            self.frames.append((kind, flags, stream, payload))
            self.acks += kind == SETTINGS and flags & ACK
            if kind == HEADERS:
                fields = dict(self.decoder.decode(payload))
                self.statuses.setdefault(stream, fields.get(":status"))

    def codes(self, kind):
        return [struct.unpack(">I", payload[4:8] if kind == GOAWAY else payload[:4])[0]
                for sent, _, _, payload in self.frames if sent == kind]  # fmt: skip

    def verdict(self, expected):
        goaway, resets = self.codes(GOAWAY), self.codes(RST)
        what, _, names = expected.partition(" ")
        allowed = {CODES[name] for name in names.split("|") if name in CODES}
        if what == "connection":
            good = self.is_closed and (not goaway or goaway[-1] in allowed)
        elif what == "goaway":
            good = self.is_closed and any(code in allowed for code in goaway[-1:])
        elif what == "greeting":
            good = not self.is_closed and self.frames[0][:2] == (SETTINGS, 0)
        elif what == "stream":
            # Any stream error may be treated as one of the connection.
            good = any(code in allowed for code in resets + goaway)
        elif what == "at-most":
            # RFC 9113 leaves it to us: frames on a closed stream, and all of RFC 7540's priorities.
            # But a stream is answered once.
            answers = [1 for kind, _, stream, _ in self.frames if kind == HEADERS and stream == 1]
            good = len(answers) <= 1 and all(code in allowed for code in resets + goaway)
        elif what == "ignored":
            good = not self.is_closed and not goaway and not resets
        elif what == "status":
            good = not self.is_closed and self.statuses.get(1) == names
        elif what == "data":
            sizes = [len(payload) for kind, _, _, payload in self.frames if kind == DATA]
            wanted = [int(size) for size in names.split(",")]
            good = not self.is_closed and sizes[:len(wanted)] == wanted
        elif what == "pong":
            good = (PING, ACK, 0, names.encode()) in self.frames
        else:
            raise ValueError(expected)
        if good:
            return "ok"
        return (f"{expected} expected: goaway {goaway} rst {resets} statuses {self.statuses} "
                f"{'closed' if self.is_closed else 'open'}")


# Name, what is to happen, and what is sent: bytes, or steps between which the server may answer.
CASES = [
    ("generic/1 the preface is answered", "greeting", b""),
    ("generic/2 PRIORITY on an idle stream", "status 200", priority(1) + headers()),
    ("generic/2 WINDOW_UPDATE on a half-closed stream", "data 1", half_closed() + update(1, 1)),
    ("generic/2 PRIORITY on a half-closed stream", "ignored", half_closed() + priority(1)),
    ("generic/2 RST_STREAM on a half-closed stream", "ignored", half_closed() + rst()),
    ("generic/2 PRIORITY on a closed stream", "ignored", [headers(), priority(1)]),
    ("generic/3.1 a DATA frame", "status 200", opened() + message()),
    ("generic/3.1 several DATA frames", "status 200",
     opened() + message(b"\0\0", 0) + message(b"\0\0\0")),
    ("generic/3.1 a padded DATA frame", "status 200",
     opened() + frame(DATA, END_STREAM | PADDED, 1, b"\x06" + EMPTY_MESSAGE + bytes(6))),
    ("generic/3.2 a HEADERS frame", "status 200", headers()),
    ("generic/3.2 a padded HEADERS frame", "status 200",
     headers(1, END_HEADERS | END_STREAM | PADDED, b"\x06" + block() + bytes(6))),
    ("generic/3.2 a HEADERS frame with priority", "status 200", with_priority(1, 0)),
    ("generic/3.3 PRIORITY of weight 1", "status 200", priority(1, weight=0) + headers()),
    ("generic/3.3 PRIORITY of weight 256", "status 200", priority(1, weight=255) + headers()),
    ("generic/3.3 PRIORITY with a dependency", "status 200", priority(1, 3) + headers()),
    ("generic/3.3 an exclusive PRIORITY", "status 200", priority(1, 3, exclusive=True) + headers()),
    ("generic/3.3 PRIORITY on an idle stream before a lower one", "status 200",
     priority(5) + headers()),
    ("generic/3.4 RST_STREAM", "ignored", opened() + rst()),
    # Each case waits for the acknowledgement of every SETTINGS frame.
    ("generic/3.5 SETTINGS", "ignored", settings(3, 100)),
    ("generic/3.7 PING", "pong pingpong", frame(PING, payload=b"pingpong")),
    ("generic/3.8 GOAWAY", "ignored", opened() + frame(GOAWAY, payload=bytes(8))),
    ("generic/3.9 WINDOW_UPDATE of the connection", "ignored", update(0, 1)),
    ("generic/3.9 WINDOW_UPDATE of a stream", "ignored", opened() + update(1, 1)),
    ("generic/3.10 a CONTINUATION frame", "status 200", split(pieces=2)),
    ("generic/3.10 several CONTINUATION frames", "status 200", split(pieces=4)),
    ("generic/4 a GET request", "status 405", headers(fields=[(":method", "GET"), *FIELDS[1:]])),
    ("generic/4 a HEAD request", "status 405", headers(fields=[(":method", "HEAD"), *FIELDS[1:]])),
    ("generic/4 a POST request", "status 200", opened() + message()),
    ("generic/4 a POST request with trailers", "status 200",
     opened() + message(flags=0) + headers(fields=[("x-test", "ok")])),
    ("generic/5 an indexed field", "status 200", raw_field(b"\x90")),
    ("generic/5 a literal to be indexed, by index", "status 200", raw_field(b"\x7a\x01a")),
    ("generic/5 a literal to be indexed, by name", "status 200", raw_field(b"\x40\x03x-a\x01a")),
    ("generic/5 a Huffman literal to be indexed, by index", "status 200",
     raw_field(b"\x7a\x81\x1f")),
    ("generic/5 a Huffman literal to be indexed, by name", "status 200",
     raw_field(b"\x40\x83\xf2\xb4\xff\x81\x1f")),
    ("generic/5 a literal not indexed, by index", "status 200", raw_field(b"\x0f\x2b\x01a")),
    ("generic/5 a literal not indexed, by name", "status 200", raw_field(b"\x00\x03x-a\x01a")),
    ("generic/5 a Huffman literal not indexed, by index", "status 200",
     raw_field(b"\x0f\x2b\x81\x1f")),
    ("generic/5 a Huffman literal not indexed, by name", "status 200",
     raw_field(b"\x00\x83\xf2\xb4\xff\x81\x1f")),
    ("generic/5 a literal never indexed, by index", "status 200", raw_field(b"\x1f\x2b\x01a")),
    ("generic/5 a literal never indexed, by name", "status 200", raw_field(b"\x10\x03x-a\x01a")),
    ("generic/5 a Huffman literal never indexed, by index", "status 200",
     raw_field(b"\x1f\x2b\x81\x1f")),
    ("generic/5 a Huffman literal never indexed, by name", "status 200",
     raw_field(b"\x10\x83\xf2\xb4\xff\x81\x1f")),
    ("generic/5 a size update of the table", "status 200", headers(payload=b"\x3f\x61" + block())),
    ("generic/5 two size updates of the table", "status 200",
     headers(payload=b"\x20\x3f\x61" + block())),
    ("3.5 a good preface", "status 200", headers()),
    ("3.5 a bad preface", "connection PROTOCOL_ERROR", b""),
    ("4.1 a frame of an unknown type", "ignored", frame(22, payload=bytes(8))),
    ("4.1 a frame with unknown flags", "ignored", frame(PING, 0x16, payload=bytes(8))),
    ("4.1 a frame with the reserved bit", "ignored",
     frame(PING, stream=1 << 31, payload=bytes(8))),
    ("4.2 a DATA frame of 16384 bytes", "status 200",
     opened() + message(b"\0\0\0\x3f\xfb\x12\x80\x80\x01".ljust(16384, b"\0")[:16384])),
    ("4.2 a DATA frame over the largest size", "stream FRAME_SIZE_ERROR",
     opened() + message(bytes(16385))),
    ("4.2 a HEADERS frame over the largest size", "connection FRAME_SIZE_ERROR", large()),
    ("4.3 a bad header block", "connection COMPRESSION_ERROR", raw_field(b"\x40")),
    ("4.3 PRIORITY within a header block", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + priority(1) + frame(CONTINUATION, END_HEADERS, 1)),
    ("4.3 HEADERS of another stream within a header block", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + headers(3)),
    ("5.1 idle: DATA", "connection PROTOCOL_ERROR", message()),
    ("5.1 idle: RST_STREAM", "connection PROTOCOL_ERROR", rst()),
    ("5.1 idle: WINDOW_UPDATE", "connection PROTOCOL_ERROR", update(1, 100)),
    ("5.1 idle: CONTINUATION", "connection PROTOCOL_ERROR",
     frame(CONTINUATION, END_HEADERS, 1, block())),
    ("5.1 half-closed: DATA", "stream STREAM_CLOSED", half_closed() + message()),
    ("5.1 half-closed: HEADERS", "stream STREAM_CLOSED", half_closed() + headers()),
    ("5.1 half-closed: CONTINUATION", "stream STREAM_CLOSED|PROTOCOL_ERROR",
     half_closed() + frame(CONTINUATION, END_HEADERS, 1, block())),
    ("5.1 reset: DATA", "at-most STREAM_CLOSED", opened() + rst() + message()),
    ("5.1 reset: HEADERS", "at-most STREAM_CLOSED", opened() + rst() + headers()),
    ("5.1 reset: CONTINUATION", "connection STREAM_CLOSED|PROTOCOL_ERROR",
     opened() + rst() + frame(CONTINUATION, END_HEADERS, 1, block())),
    ("5.1 closed: DATA", "at-most STREAM_CLOSED", [headers(), message()]),
    ("5.1 closed: HEADERS", "at-most STREAM_CLOSED", [headers(), headers()]),
    ("5.1 closed: CONTINUATION", "connection STREAM_CLOSED|PROTOCOL_ERROR",
     [headers(), frame(CONTINUATION, END_HEADERS, 1, block())]),
    ("5.1.1 an even stream number", "connection PROTOCOL_ERROR", headers(2)),
    ("5.1.1 a stream number that decreases", "connection PROTOCOL_ERROR",
     headers(5) + headers(3)),
    ("5.1.2 more streams than allowed", "stream PROTOCOL_ERROR|REFUSED_STREAM",
     b"".join(opened(2 * number + 1) for number in range(300))),
    ("5.3.1 HEADERS that depend on themselves", "at-most PROTOCOL_ERROR", with_priority(1, 1)),
    ("5.3.1 PRIORITY that depends on itself", "at-most PROTOCOL_ERROR", priority(1, 1)),
    ("5.4.1 the connection ends after a connection error", "connection FRAME_SIZE_ERROR",
     frame(PING, payload=bytes(6))),
    ("5.4.1 a connection error is told by GOAWAY", "goaway FRAME_SIZE_ERROR",
     frame(PING, payload=bytes(6))),
    ("5.5 an extension frame", "ignored", frame(0xBE, payload=bytes(8))),
    ("5.5 an extension frame within a header block", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + frame(0xBE, payload=bytes(8)) + frame(CONTINUATION, END_HEADERS, 1)),
    ("6.1 DATA of the connection", "connection PROTOCOL_ERROR", message(stream=0)),
    ("6.1 DATA on a closed stream", "at-most STREAM_CLOSED", [headers(), message()]),
    ("6.1 DATA with more padding than payload", "connection PROTOCOL_ERROR",
     opened() + frame(DATA, END_STREAM | PADDED, 1, b"\x06abcde")),
    ("6.2 PRIORITY after HEADERS that are not complete", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + priority(1)),
    ("6.2 HEADERS of another stream after HEADERS that are not complete",
     "connection PROTOCOL_ERROR", headers(1, END_STREAM) + headers(3)),
    ("6.2 HEADERS of the connection", "connection PROTOCOL_ERROR", headers(0)),
    ("6.2 HEADERS with more padding than payload", "connection PROTOCOL_ERROR",
     headers(1, END_HEADERS | END_STREAM | PADDED, b"\xff" + block())),
    ("6.3 PRIORITY of the connection", "connection PROTOCOL_ERROR", priority(0)),
    ("6.3 PRIORITY of another length", "stream FRAME_SIZE_ERROR",
     opened() + frame(PRIORITY, stream=1, payload=bytes(4))),
    ("6.4 RST_STREAM of the connection", "connection PROTOCOL_ERROR", rst(0)),
    ("6.4 RST_STREAM of an idle stream", "connection PROTOCOL_ERROR", rst(1)),
    ("6.4 RST_STREAM of another length", "connection FRAME_SIZE_ERROR",
     opened() + frame(RST, stream=1, payload=bytes(3))),
    ("6.5 SETTINGS with ACK and a payload", "connection FRAME_SIZE_ERROR",
     frame(SETTINGS, ACK, payload=setting(1, 4096))),
    ("6.5 SETTINGS of a stream", "connection PROTOCOL_ERROR",
     frame(SETTINGS, stream=1, payload=setting(3, 16))),
    ("6.5 SETTINGS of another length", "connection FRAME_SIZE_ERROR",
     frame(SETTINGS, payload=bytes(3))),
    ("6.5.2 ENABLE_PUSH of 2", "connection PROTOCOL_ERROR", settings(2, 2)),
    ("6.5.2 INITIAL_WINDOW_SIZE over the largest", "connection FLOW_CONTROL_ERROR",
     settings(4, 2**31)),
    ("6.5.2 MAX_FRAME_SIZE below the smallest", "connection PROTOCOL_ERROR", settings(5, 16383)),
    ("6.5.2 MAX_FRAME_SIZE over the largest", "connection PROTOCOL_ERROR", settings(5, 2**24)),
    ("6.5.2 an unknown setting", "ignored", settings(0xFF, 1)),
    ("6.5.3 the last of several values", "data 1",
     frame(SETTINGS, payload=setting(4, 100) + setting(4, 1)) + half_closed()[15:]),
    ("6.5.3 SETTINGS are acknowledged", "ignored", settings(4, 100)),
    ("6.7 PING", "pong pingpong", frame(PING, payload=b"pingpong")),
    ("6.7 PING with ACK", "ignored", frame(PING, ACK, payload=bytes(8))),
    ("6.7 PING of a stream", "connection PROTOCOL_ERROR", frame(PING, stream=1, payload=bytes(8))),
    ("6.7 PING of another length", "connection FRAME_SIZE_ERROR", frame(PING, payload=bytes(6))),
    ("6.8 GOAWAY of a stream", "connection PROTOCOL_ERROR",
     frame(GOAWAY, stream=1, payload=bytes(8))),
    ("6.9 WINDOW_UPDATE of 0 for the connection", "connection PROTOCOL_ERROR", update(0, 0)),
    ("6.9 WINDOW_UPDATE of 0 for a stream", "stream PROTOCOL_ERROR", opened() + update(1, 0)),
    ("6.9 WINDOW_UPDATE of another length", "connection FRAME_SIZE_ERROR",
     frame(UPDATE, payload=bytes(3))),
    ("6.9.1 a window of 1", "data 1", settings(4, 1) + half_closed()[15:]),
    ("6.9.1 too large a window of the connection", "connection FLOW_CONTROL_ERROR",
     update(0, LARGEST) + update(0, LARGEST)),
    ("6.9.1 too large a window of a stream", "stream FLOW_CONTROL_ERROR",
     opened() + update(1, LARGEST) + update(1, LARGEST)),
    ("6.9.2 the initial window changes after HEADERS", "data 1", [half_closed(), settings(4, 1)]),
    ("6.9.2 a window becomes negative", "data 3,1",
     [settings(4, 3) + half_closed()[15:], settings(4, 2) + update(1, 2)]),
    # An error of the connection by the letter; nghttp2 ends the streams that it concerns.
    ("6.9.2 the initial window makes one too large", "stream FLOW_CONTROL_ERROR",
     half_closed() + update(1, LARGEST) + settings(4, LARGEST)),
    ("6.10 several CONTINUATION frames", "status 200", split(pieces=5)),
    ("6.10 another frame before the last CONTINUATION", "connection PROTOCOL_ERROR",
     split(last=0) + message()),
    ("6.10 CONTINUATION of the connection", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + frame(CONTINUATION, END_HEADERS, 0)),
    ("6.10 CONTINUATION of another stream", "connection PROTOCOL_ERROR",
     headers(1, END_STREAM) + frame(CONTINUATION, END_HEADERS, 3)),
    ("6.10 CONTINUATION after the end of a HEADERS block", "connection PROTOCOL_ERROR",
     opened() + frame(CONTINUATION, END_HEADERS, 1, block())),
    ("6.10 CONTINUATION after the last CONTINUATION", "connection PROTOCOL_ERROR",
     split() + frame(CONTINUATION, END_HEADERS, 1, block())),
    ("6.10 CONTINUATION after DATA", "connection PROTOCOL_ERROR",
     opened() + message(flags=0) + frame(CONTINUATION, END_HEADERS, 1, block())),
    ("7 GOAWAY with an unknown code", "ignored",
     opened() + frame(GOAWAY, payload=struct.pack(">II", 0, 0xFF))),
    ("7 RST_STREAM with an unknown code", "ignored", opened() + rst(1, 0xFF)),
    ("8.1 second HEADERS without END_STREAM", "stream PROTOCOL_ERROR",
     opened() + headers(1, END_HEADERS, fields=[("x-test", "ok")])),
    ("8.1.2 an upper-case name", "stream PROTOCOL_ERROR", raw_field(b"\x00\x03X-A\x01a")),
    ("8.1.2.1 an unknown pseudo-header", "stream PROTOCOL_ERROR",
     headers(fields=[(":test", "ok"), *FIELDS])),
    ("8.1.2.1 a response's pseudo-header", "stream PROTOCOL_ERROR",
     headers(fields=[(":status", "200"), *FIELDS])),
    ("8.1.2.1 a pseudo-header as trailer", "stream PROTOCOL_ERROR",
     opened() + headers(fields=[(":method", "POST")])),
    ("8.1.2.1 a pseudo-header after a field", "stream PROTOCOL_ERROR",
     headers(fields=FIELDS[1:], extra=[(":method", "POST")])),
    ("8.1.2.2 a Connection field", "stream PROTOCOL_ERROR",
     headers(extra=[("connection", "keep-alive")])),
    ("8.1.2.2 TE other than trailers", "stream PROTOCOL_ERROR",
     headers(without=["te"], extra=[("te", "gzip")])),
    ("8.1.2.3 an empty :path", "stream PROTOCOL_ERROR",
     headers(fields=[(":path", ""), *FIELDS[:2], *FIELDS[3:]])),
    ("8.1.2.3 no :method", "stream PROTOCOL_ERROR", headers(without=[":method"])),
    ("8.1.2.3 no :scheme", "stream PROTOCOL_ERROR", headers(without=[":scheme"])),
    ("8.1.2.3 no :path", "stream PROTOCOL_ERROR", headers(without=[":path"])),
    ("8.1.2.3 two :method", "stream PROTOCOL_ERROR", headers(fields=[FIELDS[0], *FIELDS])),
    ("8.1.2.3 two :scheme", "stream PROTOCOL_ERROR", headers(fields=[FIELDS[1], *FIELDS])),
    ("8.1.2.3 two :path", "stream PROTOCOL_ERROR", headers(fields=[FIELDS[2], *FIELDS])),
    ("8.1.2.6 content-length other than one DATA frame", "stream PROTOCOL_ERROR",
     headers(1, END_HEADERS, extra=[("content-length", "1")]) + message()),
    ("8.1.2.6 content-length other than several DATA frames", "stream PROTOCOL_ERROR",
     headers(1, END_HEADERS, extra=[("content-length", "1")]) + message(flags=0) + message()),
    ("8.2 PUSH_PROMISE from a client", "connection PROTOCOL_ERROR",
     opened() + frame(PUSH, END_HEADERS, 1, struct.pack(">I", 2) + block())),
    ("hpack/2.3.3 an index past the tables", "connection COMPRESSION_ERROR", raw_field(b"\xc6")),
    ("hpack/2.3.3 a literal's index past the tables", "connection COMPRESSION_ERROR",
     raw_field(b"\x7e\x07\x01a")),
    ("hpack/4.2 a size update at the end of a block", "connection COMPRESSION_ERROR",
     raw_field(b"\x20")),
    ("hpack/5.2 Huffman padding of more than 7 bits", "connection COMPRESSION_ERROR",
     raw_field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")),
    ("hpack/5.2 Huffman padding of zeros", "connection COMPRESSION_ERROR",
     raw_field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")),
    ("hpack/5.2 the Huffman EOS", "connection COMPRESSION_ERROR",
     raw_field(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\xff\xff\xff\xff")),
    ("hpack/6.1 index 0", "connection COMPRESSION_ERROR", raw_field(b"\x80")),
    ("hpack/6.3 a size update past the setting", "connection COMPRESSION_ERROR",
     headers(payload=b"\x3f\xe1\xff\x03" + block())),
]  # fmt: skip


def run(name, port):
    expected, sent = next(case[1:] for case in CASES if case[0] == name)
    if name == "3.5 a bad preface":
        return Outcome(port, sent, b"INVALID CONNECTION PREFACE\r\n\r\n").verdict(expected)
    return Outcome(port, sent).verdict(expected)


if __name__ == "__main__":
    for line in Path(sys.argv[1]).read_text().splitlines():
        port, _, name = line.partition(" ")
        if name:
            print(run(name, int(port)), flush=True)
        else:
            print("; ".join(
                f"{case[0]}: {verdict}" for case in CASES
                if (verdict := run(case[0], int(port))) != "ok") or f"{len(CASES)} ok", flush=True)
