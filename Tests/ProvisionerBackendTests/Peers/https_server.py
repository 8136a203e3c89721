"""What the HTTPS servers of these tests have in common."""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import threading


class JSONHandler(http.server.BaseHTTPRequestHandler):
    def answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def serve(handler: type[JSONHandler]) -> None:
    """Serves at the ADDRESS, by the CERTIFICATE and KEY, of the command line; prints the port."""
    address, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer((address, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # By each connection's own thread, not by the one that accepts them.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
