"""A part of the Kubernetes API that is served outside of the API server, by HTTPS. It is only read.

usage: extension_server.py ADDRESS CERTIFICATE KEY

Prints the port; ends with its standard input. Answers each line read there with one:
  put PATH JSON     an object, by its path in the API
"""

from __future__ import annotations

import json
import sys

from https_server import JSONHandler, serve

kept: dict[str, dict] = {}


def answer(path: str) -> dict | None:
    if path in kept:
        return kept[path]
    parts = path.strip("/").split("/")
    # apis/GROUP/VERSION: the kinds there are, which the API server asks for.
    if len(parts) == 3:
        version = "/".join(parts[1:])
        return {
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [],
        }  # fmt: skip
    # apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL
    if len(parts) == 6:
        items = [kept[each] for each in sorted(kept) if each.startswith(path + "/")]
        return {
            "kind": "List", "apiVersion": "/".join(parts[1:3]),
            "metadata": {"resourceVersion": "1"}, "items": items,
        }  # fmt: skip
    return None


class Handler(JSONHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        found = answer(self.path.partition("?")[0])
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                  "code": 404}  # fmt: skip
        self.answer(200 if found else 404, found or status)


serve(Handler)
for line in sys.stdin:
    _, path, text = line.strip().split(" ", 2)
    kept[path] = json.loads(text)
    print("done", flush=True)
