"""Watches how a gRPC server ends a connection. Each case is a port; prints what was seen, step by step."""

import sys
from pathlib import Path

from attacker import CONVERSE, DATA, Attacker, frame


def seen(port):
    client = Attacker(port)
    client.send(client.head(1, CONVERSE))
    client.wait(lambda: client.last_streams)
    # This one was on its way when the server spoke.
    client.send(client.call(3))
    late = client.answer(3)
    client.wait(lambda: len(client.last_streams) == 2)
    client.send(frame(DATA, 1, 1, b""))
    first = client.answer(1)
    client.wait(lambda: client.is_over)
    end = "closed" if client.is_over else "still open"
    return f"{client.last_streams}, late: {late}, first: {first}, {client.goaway}, {end}"


for line in Path(sys.argv[1]).read_text().splitlines():
    print(seen(int(line)), flush=True)
