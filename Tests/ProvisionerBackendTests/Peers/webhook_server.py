"""An admission webhook that lets nothing pass, by HTTPS.

usage: webhook_server.py ADDRESS CERTIFICATE KEY

Prints the port; ends with its standard input. /hang never answers; any other path denies, with its
words as the reason.
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import threading
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if path == "/hang":
            self.rfile.read()
            return
        review["response"] = {
            "uid": review["request"]["uid"], "allowed": False, "status": {"message": path[1:]},
        }  # fmt: skip
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    address, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    # By each connection's own thread, not by the one that accepts them.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
