"""An HTTP/2 client (h2) that does what curl does not.

usage: http2_client.py FILE; each line of FILE is "port case", for each a verdict is printed.
"""

import socket
import sys

import h2.config
import h2.connection
import h2.events


class Client:
    def __init__(self, port, reads=True):
        self.reads = reads
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.events = []
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def open(self, method, path, *fields, end=True):
        stream = self.h2.get_next_available_stream_id()
        head = [
            (":method", method),
            (":path", path),
            (":scheme", "http"),
            (":authority", "a"),
            *fields,
        ]
        self.h2.send_headers(stream, head, end_stream=end)
        self.flush()
        return stream

    def read(self):
        """The events of one read; an empty list at the end of the connection."""
        data = self.socket.recv(65536)
        events = self.h2.receive_data(data) if data else []
        for event in events:
            if isinstance(event, h2.events.DataReceived) and self.reads:
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
        self.flush()
        self.events += events
        return bool(data)

    def until(self, kind, stream=None):
        """The first event of that kind, and of that stream."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and (
                    stream is None or event.stream_id == stream
                ):
                    return event
            if not self.read():
                return None

    def body(self, stream):
        self.until(h2.events.StreamEnded, stream)
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2.events.DataReceived)
            and event.stream_id == stream
        )

    def status(self, stream):
        event = self.until(h2.events.ResponseReceived, stream)
        return dict(event.headers)[":status"] if event else None


def too_large(port):
    """A declared body over the limit is answered, and then the client is told to stop."""
    client = Client(port)
    stream = client.open("POST", "/count", ("content-length", "300000"), end=False)
    status = client.status(stream)
    client.body(stream)
    reset = client.until(h2.events.StreamReset, stream)
    return f"{status} reset {int(reset.error_code)}"


def over_handlers_limit(port):
    """A body over the handler's limit is answered, declared or found out."""
    client = Client(port)
    declared = client.open("POST", "/collect", ("content-length", "1001"), end=False)
    found = client.open("POST", "/collect", end=False)
    client.h2.send_data(found, bytes(1001))
    client.flush()
    return f"{client.status(declared)} {client.status(found)}"


def unread_bodies(port):
    """Bodies that nobody reads, 3 MB in all, do not use up the connection's window."""
    client = Client(port)
    for _ in range(30):
        while client.h2.outbound_flow_control_window < 200_000:
            client.read()
        stream = client.open("POST", "/wait", end=False)
        for _ in range(6):
            client.h2.send_data(stream, bytes(16384))
        client.h2.reset_stream(stream, 8)
        client.flush()
    stream = client.open("GET", "/hello")
    return client.body(stream).decode()


def bad_block(port):
    """The fields of a block that is given up do not go into the next one."""
    client = Client(port)
    client.h2.config.validate_outbound_headers = False
    client.h2.config.normalize_outbound_headers = False
    stream = client.open("GET", "/head", ("cookie", "leaked=1"), ("Upper", "x"))
    client.until(h2.events.StreamReset, stream)
    stream = client.open("GET", "/head")
    return client.body(stream).decode()


def slow_stream(port):
    """A stream whose window is not opened again is reset; another goes on."""
    client = Client(port, reads=False)
    client.h2.increment_flow_control_window(1_000_000)
    client.flush()
    stream = client.open("GET", "/chunks?10000")
    reset = client.until(h2.events.StreamReset, stream)
    other = client.open("GET", "/hello")
    return f"reset {int(reset.error_code)} {client.body(other).decode()}"


def cancel(port):
    """A reset stream cancels its handler; the test sees it."""
    client = Client(port)
    stream = client.open("GET", "/wait")
    client.open("GET", "/hello")
    client.until(h2.events.StreamEnded)
    client.h2.reset_stream(stream, 8)
    client.flush()
    client.h2.ping(b"12345678")
    client.flush()
    client.until(h2.events.PingAckReceived)
    return "reset"


def many(port):
    """A hundred streams at once, each with its own answer."""
    client = Client(port)
    streams = [client.open("POST", "/echo", end=False) for _ in range(100)]
    for stream in streams:
        client.h2.send_data(stream, str(stream).encode(), end_stream=True)
    client.flush()
    return str(all(client.body(stream).decode() == str(stream) for stream in streams))


def idle(port):
    """An idle connection is told to go and closed."""
    client = Client(port)
    client.body(client.open("GET", "/hello"))
    client.until(h2.events.ConnectionTerminated)
    while client.read():
        pass
    return "closed"


def drain(port):
    """A request on its way while the server starts to drain is served."""
    client = Client(port)
    first = client.open("GET", "/gate")
    notice = client.until(h2.events.ConnectionTerminated)
    # h2 itself opens no stream after GOAWAY: the request crossed it on the wire.
    client.h2.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
    late = client.open("GET", "/hello")
    answers = client.body(late).decode(), client.body(first).decode()
    while client.read():
        pass
    return f"{notice.last_stream_id == 2**31 - 1} {answers[0]} {answers[1]}"


CASES = [
    too_large,
    over_handlers_limit,
    unread_bodies,
    bad_block,
    slow_stream,
    cancel,
    many,
    idle,
    drain,
]


def main():
    cases = {case.__name__: case for case in CASES}
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in file:
            port, name = line.split()
            print(cases[name](int(port)), flush=True)


if __name__ == "__main__":
    main()
