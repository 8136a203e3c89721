"""An admission webhook that lets nothing pass, by HTTPS.

usage: webhook_server.py ADDRESS CERTIFICATE KEY

Prints the port; ends with its standard input. /hang never answers; any other path denies, with its
words as the reason.
"""

from __future__ import annotations

import json
import sys
import urllib.parse

from https_server import JSONHandler, serve


class Handler(JSONHandler):
    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urllib.parse.unquote(self.path.partition("?")[0])
        if path == "/hang":
            self.rfile.read()
            return
        review["response"] = {
            "uid": review["request"]["uid"], "allowed": False, "status": {"message": path[1:]},
        }  # fmt: skip
        self.answer(200, review)


serve(Handler)
sys.stdin.read()
