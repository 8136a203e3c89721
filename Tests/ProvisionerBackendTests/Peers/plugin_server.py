"""Serves a small WordPress plugin in place of WooCommerce, which cannot be had offline.

usage: plugin_server.py ADDRESS

Prints the port; ends with its standard input. /woocommerce.zip is the plugin, /broken.zip no archive.
"""

from __future__ import annotations

import http.server
import io
import sys
import threading
import zipfile

PLUGIN = b"""<?php
/*
Plugin Name: Stand-in for WooCommerce
Version: 1.0
*/
register_activation_hook(__FILE__, function () {
    update_option('storeplane_activations', 1 + (int) get_option('storeplane_activations'));
});
"""


def archive() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("woocommerce/woocommerce.php", PLUGIN)
        target.writestr("woocommerce/readme.txt", "Made by the tests.\n")
    return data.getvalue()


FILES = {"/woocommerce.zip": archive(), "/broken.zip": b"no archive at all"}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = FILES.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *arguments: object) -> None:
        pass


def main() -> None:
    server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


main()
