"""Says of each case what h11 makes of it, as one line of events separated by spaces.

Cases: "Q HEX" are a client's bytes, "P METHOD HEX" a server's bytes in answer to METHOD; both end
with the peer closing the connection. Events:
  H:METHOD:TARGET:VERSION:FIELDS  S:STATUS:VERSION:FIELDS  I:STATUS:FIELDS
  E:BODY:FIELDS (end of a message, with its trailers)  closed  done (response complete)  error
FIELDS are name=value joined by commas; bytes are hexadecimal.
"""

import signal
import sys

import h11


def fields(headers):
    return ",".join(f"{name.decode()}={value.hex()}" for name, value in headers)


def target(event):
    """Brings scheme and host of an absolute-form target to lower case and its empty path to "/"."""
    text = event.target.decode()
    scheme, separator, rest = text.partition("://")
    if text.startswith("/") or not separator:
        return text
    end = min((rest.find(c) for c in "/?" if c in rest), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if not path.startswith("/"):
        path = ("*" if event.method == b"OPTIONS" and not path else "/") + path
    return f"{scheme.lower()}://{authority.lower()}{path}"


def message(connection, events):
    """Reads one message; returns True if it ended as it should."""
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            version = event.http_version.decode()
            parts = (event.method.decode(), target(event).encode().hex(), version)
            events.append("H:" + ":".join(parts) + ":" + fields(event.headers))
        elif isinstance(event, (h11.Response, h11.InformationalResponse)):
            is_final = isinstance(event, h11.Response)
            kind = f"S:{event.status_code}:{event.http_version.decode()}"
            if not is_final:
                kind = f"I:{event.status_code}"
            events.append(f"{kind}:{fields(event.headers)}")
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            events.append(f"E:{body.hex()}:{fields(event.headers)}")
            return True
        elif isinstance(event, h11.ConnectionClosed):
            events.append("closed")
            return False
        else:
            raise AssertionError(event)


def requests(data):
    events = []
    try:
        while True:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 24)
            # One empty line before a request is to be ignored (RFC 9112 section 2.2); h11 is not
            # as lenient.
            if data.startswith(b"\r\n"):
                data = data[2:]
            if data:
                connection.receive_data(data)
            # The end comes only when h11 asks for more, as it keeps no data behind it.
            connection.receive_data(b"")
            if not message(connection, events):
                break
            data = connection.trailing_data[0]
    except h11.RemoteProtocolError:
        events.append("error")
    return events


def response(method, data):
    events = []
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 24)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    connection.send(h11.EndOfMessage())
    try:
        if data:
            connection.receive_data(data)
        connection.receive_data(b"")
        if message(connection, events):
            events.append("done")
        else:
            events[-1] = "error"
    except h11.RemoteProtocolError:
        events.append("error")
    return events


signal.alarm(120)
with open(sys.argv[1], encoding="ascii") as cases:
    for case in cases.read().split("\n"):
        kind, *rest = case.split(" ")
        if kind == "Q":
            print(" ".join(requests(bytes.fromhex(rest[0]))))
        else:
            print(" ".join(response(rest[0], bytes.fromhex(rest[1]))))
