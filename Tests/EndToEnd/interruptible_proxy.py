"""A TCP proxy that can be made to vanish, or slow: before an API server, or replicas."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager


class InterruptibleProxy:
    def __init__(self, host: str, *targets: int, port: int = 0):
        """Connections go to the ports of `targets` in turn, past those that refuse them."""
        self._host = host
        self._targets = list(targets)
        self._listener: socket.socket | None = None
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._delay_seconds = 0.0
        self.port = port
        self.restore()

    @contextmanager
    def slowed(self, seconds: float):
        """Holds up whatever passes, each way, so that a step of many requests takes its time."""
        self._delay_seconds = seconds
        try:
            yield
        finally:
            self._delay_seconds = 0.0

    def interrupt(self) -> None:
        """Refuses new connections and cuts off those there are."""
        if self._listener:
            # Wakes the thread that accepts, which close alone would not.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.drop()

    def drop(self) -> None:
        """Cuts off the connections there are."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _cut(connection)

    def restore(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), reuse_port=False)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = self._connect()
            if not server:
                client.close()
                continue
            with self._lock:
                self._connections |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _connect(self) -> socket.socket | None:
        self._targets.append(self._targets.pop(0))
        for port in self._targets:
            try:
                return socket.create_connection((self._host, port))
            except OSError:
                continue
        return None

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self._delay_seconds:
                    time.sleep(self._delay_seconds)
                sink.sendall(data)
        except OSError:
            pass
        _cut(source)
        _cut(sink)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
