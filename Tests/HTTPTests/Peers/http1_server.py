"""Answers one request a connection, well (by h11) or badly, as the path says.

Prints its port; ends with its standard input.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading

import h11

RAW = {
    "/garbage": b"hello\r\n\r\n",
    "/cut": b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
    "/cut-chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
    "/nothing": b"",
    "/two-lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na",
    "/bare-lf": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "/unasked-switch": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "/too-large": b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
    "/large-head": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000 + b"\r\n\r\n",
    "/many-fields": b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 200 + b"\r\n",
    "/early-hints": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "/until-close": b"HTTP/1.1 200 OK\r\n\r\nall of it",
    "/endless": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    + b"10000\r\n" + b"a" * 0x10000 + b"\r\n",
}


class Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        connection = h11.Connection(h11.SERVER)
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = self.request.recv(65536)
                if not data:
                    return
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        self.answer(connection, request, body)

    def answer(self, connection: h11.Connection, request: h11.Request, body: bytes) -> None:
        path = request.target.decode()
        if path == "/silent":
            self.request.recv(1)
        elif path == "/endless":
            self.request.sendall(RAW[path])
            chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
            try:
                while True:
                    self.request.sendall(chunk)
            except OSError:
                pass
        elif path in RAW:
            self.request.sendall(RAW[path])
        else:
            self.echo(connection, request, body, path)

    def echo(
        self, connection: h11.Connection, request: h11.Request, body: bytes, path: str
    ) -> None:
        fields = {name.decode(): value.decode() for name, value in request.headers}
        seen = json.dumps(
            {
                "method": request.method.decode(),
                "path": path,
                "host": fields.get("host"),
                "length": fields.get("content-length"),
                "body": body.decode(),
            }
        ).encode()
        headers = [("set-cookie", "a=1"), ("set-cookie", "b=2")]
        if path != "/chunked":
            headers.append(("content-length", str(len(seen))))
        send = connection.send
        status = 302 if path == "/elsewhere" else 200
        data = send(h11.Response(status_code=status, headers=headers)) or b""
        for start in range(0, len(seen), 7):
            data += send(h11.Data(data=seen[start : start + 7])) or b""
        data += send(h11.EndOfMessage()) or b""
        self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
