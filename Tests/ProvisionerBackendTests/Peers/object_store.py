"""An object store with S3's protocol, as far as backups use it, in memory. Addresses are checked by
botocore's signatures.

usage: object_store.py ADDRESS ACCESS_KEY SECRET_KEY

Prints the port; ends with its standard input. Answers each line read there with one:
  names             the keys that are kept, with a space between
  sizes             the same, each as KEY=BYTES
  put KEY TEXT      keeps TEXT
  damage KEY        changes a byte in the middle of what is kept
  answer STATUS CODE METHOD
                    answers requests of METHOD so from now on; STATUS 0: as it should again
"""

from __future__ import annotations

import http.server
import sys
import threading
import urllib.parse

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BUCKET = "/backups/"
REGION = "us-east-1"
ADDRESS, ACCESS_KEY, SECRET_KEY = sys.argv[1:4]
kept: dict[str, bytes] = {}
answers: dict[str, tuple[int, str]] = {}


def is_signed(method: str, host: str, target: str) -> bool:
    parts = urllib.parse.urlsplit(target)
    query = dict(urllib.parse.parse_qsl(parts.query))
    signature = query.pop("X-Amz-Signature", "")
    signer = S3SigV4QueryAuth(
        Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION, int(query.get("X-Amz-Expires", "0"))
    )
    url = f"http://{host}{parts.path}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"
    request = AWSRequest(method=method, url=url)
    request.context["timestamp"] = query.get("X-Amz-Date", "")
    expected = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    return expected == signature and query.get("X-Amz-Credential", "").startswith(ACCESS_KEY + "/")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        path = urllib.parse.unquote(self.path.partition("?")[0])
        key = path.removeprefix(BUCKET)
        if self.command in answers:
            self.refuse(*answers[self.command])
        elif not is_signed(self.command, self.headers["Host"], self.path):
            self.refuse(403, "SignatureDoesNotMatch")
        elif not path.startswith(BUCKET):
            self.refuse(404, "NoSuchBucket")
        elif self.command == "PUT":
            kept[key] = body
            self.answer(200, b"")
        elif self.command == "DELETE":
            kept.pop(key, None)
            self.send_response(204)
            self.end_headers()
        elif key not in kept:
            self.refuse(404, "NoSuchKey")
        else:
            self.answer(200, kept[key])

    do_GET = do_HEAD = do_PUT = do_DELETE = handle_request

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


def reply(line: str) -> str:
    verb, _, rest = line.strip().partition(" ")
    if verb == "names":
        return " ".join(sorted(kept))
    if verb == "sizes":
        return " ".join(f"{key}={len(body)}" for key, body in sorted(kept.items()))
    if verb == "put":
        key, _, text = rest.partition(" ")
        kept[key] = text.encode()
    elif verb == "damage":
        data = bytearray(kept[rest])
        data[len(data) // 2] ^= 1
        kept[rest] = bytes(data)
    elif verb == "answer":
        status, code, method = rest.split(" ")
        answers.pop(method, None)
        if status != "0":
            answers[method] = (int(status), code)
    return "done"


def main() -> None:
    server = http.server.ThreadingHTTPServer((ADDRESS, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for line in sys.stdin:
        print(reply(line), flush=True)


main()
