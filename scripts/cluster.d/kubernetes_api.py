"""The little of a Kubernetes client that the cluster's add-ons need; the standard library only."""

import argparse
import base64
import http.client
import json
import logging
import ssl
import tempfile
import threading
import time
from urllib.parse import urlencode, urlsplit

CALL_SECONDS_MAX = 10
WATCH_SECONDS = 300
EVENT_BYTES_MAX = 4 * 1024 * 1024
BODY_BYTES_MAX = 64 * 1024 * 1024
RETRY_SECONDS = 0.5


class APIError(Exception):
    """An answer other than success; `status` is the HTTP status."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class Expired(Exception):
    """The watch's place in history is gone: list again."""


class API:
    """Calls to one API server with a client certificate, both from a kubeconfig of ours (JSON or
    the plain YAML that certificates.sh writes)."""

    def __init__(self, kubeconfig):
        fields = read_kubeconfig(kubeconfig)
        server = urlsplit(fields["server"])
        self._host, self._port = server.hostname, server.port
        authority = base64.b64decode(fields["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(fields["client-certificate-data"]))
            pair.write(base64.b64decode(fields["client-key-data"]))
            pair.flush()
            self._context.load_cert_chain(pair.name)

    def call(self, method, path, body=None, content_type="application/json"):
        """Sends one request; returns the decoded answer or raises APIError or OSError."""
        connection = self._connect(CALL_SECONDS_MAX)
        try:
            response = self._send(connection, method, path, body, content_type)
            return json.loads(response.read(BODY_BYTES_MAX))
        finally:
            connection.close()

    def events(self, path, version):
        """Yields (type, object) from `version` on, until the server ends the watch."""
        query = urlencode(
            {
                "watch": "true",
                "resourceVersion": version,
                "timeoutSeconds": WATCH_SECONDS,
                "allowWatchBookmarks": "true",
            }
        )
        connection = self._connect(WATCH_SECONDS + CALL_SECONDS_MAX)
        try:
            response = self._send(connection, "GET", f"{path}?{query}")
            while line := response.readline(EVENT_BYTES_MAX):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Expired(event["object"].get("message", ""))
                yield event["type"], event["object"]
        finally:
            connection.close()

    def _connect(self, seconds):
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=seconds, context=self._context
        )

    def _send(self, connection, method, path, body=None, content_type=None):
        headers = {"Content-Type": content_type} if body is not None else {}
        encoded = None if body is None else json.dumps(body)
        connection.request(method, path, encoded, headers)
        response = connection.getresponse()
        if response.status >= 300:
            text = response.read(EVENT_BYTES_MAX).decode(errors="replace")
            try:
                text = json.loads(text).get("message", text)
            except ValueError:
                pass
            if response.status == 410:
                raise Expired(text)
            raise APIError(response.status, text)
        return response


def read_kubeconfig(path):
    """The four fields that matter; each stands once in a kubeconfig with one cluster and user."""
    names = (
        "server",
        "certificate-authority-data",
        "client-certificate-data",
        "client-key-data",
    )
    fields = {}
    with open(path) as lines:
        for line in lines:
            name, separator, value = line.strip().partition(": ")
            if separator and name in names:
                fields[name] = value
    missing = [name for name in names if name not in fields]
    if missing:
        raise SystemExit(f"{path} lacks {', '.join(missing)}")
    return fields


class Mirror:
    """A copy of all objects of one kind, kept current by a watch on a thread of its own. Each
    change sets `changed`, an event that several mirrors may share."""

    def __init__(self, api, path, changed):
        self.path = path
        self.listed = threading.Event()
        self._api = api
        self._changed = changed
        self._objects = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, name=path, daemon=True).start()

    def objects(self):
        with self._lock:
            return list(self._objects.values())

    def get(self, name, namespace=""):
        with self._lock:
            return self._objects.get((namespace, name))

    def _follow(self):
        while True:
            try:
                version = self._list()
                while True:
                    version = self._watch(version)
            except Expired:
                continue
            except (APIError, OSError, http.client.HTTPException, ValueError) as error:
                logging.warning("%s: %s; listing again", self.path, error)
                time.sleep(RETRY_SECONDS)

    def _list(self):
        answer = self._api.call("GET", self.path)
        with self._lock:
            self._objects = {key_of(item): item for item in answer["items"]}
        self.listed.set()
        self._changed.set()
        return answer["metadata"]["resourceVersion"]

    def _watch(self, version):
        for kind, item in self._api.events(self.path, version):
            version = item["metadata"]["resourceVersion"]
            if kind == "BOOKMARK":
                continue
            with self._lock:
                if kind == "DELETED":
                    self._objects.pop(key_of(item), None)
                else:
                    self._objects[key_of(item)] = item
            self._changed.set()
        return version


def key_of(item):
    return (item["metadata"].get("namespace", ""), item["metadata"]["name"])


def mirror(api, changed, *paths):
    """Mirrors of the paths, each listed at least once."""
    mirrors = [Mirror(api, path, changed) for path in paths]
    for one in mirrors:
        one.listed.wait()
    return mirrors


def arguments(description):
    """A parser with what every add-on takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kubeconfig", required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    return parser
