"""A WebSocket server (wsproto) over batches: of each case, the client's opening request and its
frames in hexadecimal, prints everything the server sends. Messages are echoed in three fragments.
"""

import signal
import sys

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)


def echo(connection, kind, data):
    third = max(1, len(data) // 3)
    parts = [data[:third], data[third : 2 * third], data[2 * third :]]
    return b"".join(
        connection.send(kind(data=part, message_finished=index == 2))
        for index, part in enumerate(parts)
    )


def serve(request, frames):
    connection = WSConnection(ConnectionType.SERVER)
    sent = b""
    pending = None
    for data in (request, frames):
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, Request):
                sent += connection.send(AcceptConnection(subprotocol=event.subprotocols[-1]))
            elif isinstance(event, (TextMessage, BytesMessage)):
                pending = event.data if pending is None else pending + event.data
                if event.message_finished:
                    sent += echo(connection, type(event), pending)
                    pending = None
            elif isinstance(event, (Ping, CloseConnection)):
                sent += connection.send(event.response())
            elif isinstance(event, Pong):
                sent += connection.send(Pong(payload=b"pong:" + bytes(event.payload)))
            else:
                raise AssertionError(event)
    return sent


signal.alarm(120)
with open(sys.argv[1], encoding="ascii") as cases:
    for case in cases.read().split("\n"):
        print(serve(*map(bytes.fromhex, case.split(" "))).hex())
