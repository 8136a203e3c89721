"""The life of a store as a person sees it, from the request to the last trace of it gone."""

from __future__ import annotations

import base64
import gzip
import http.cookiejar
import json
import re
import subprocess
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from installation import STORE_SECONDS_MAX

STEPS = ["namespace", "credentials", "release", "rollout", "setup", "verify"]


class CommandLines:
    """Every argument list that a process of this machine has had while it was looked at."""

    def __init__(self):
        self.seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self.seen.add((process / "cmdline").read_bytes().decode(errors="replace"))
                except OSError:
                    continue  # It has ended.


def forms(secret: str) -> list[str]:
    """A secret as it stands, and as base64 of a text shows it, by where it begins there."""
    shown = [secret]
    for offset, foreign in ((0, 0), (1, 2), (2, 3)):
        whole = bytes(offset) + secret.encode()
        # Without the characters that hold bits of what stands before and behind it.
        shown.append(base64.b64encode(whole).decode()[foreign : len(whole) * 8 // 6])
    return shown


@pytest.fixture(scope="module")
def walked(installation):
    """The store `demo`, made by the command that the README gives."""
    with CommandLines() as lines:
        told = installation.storectl(
            "stores", "create", "--name", "demo", "--engine", "woocommerce", "--title",
            "Tea & Cups", "--wait", seconds=STORE_SECONDS_MAX, progress=True,
        )
    store = installation.store("demo")
    yield {"told": told, "store": store, "lines": lines.seen}
    try:
        installation.delete("demo")
    except Exception:  # Deleted by the last test; this is for when it was not reached.
        pass


@pytest.fixture(scope="module")
def credentials(walked, kubectl):
    secrets = json.loads(
        kubectl("get", "secrets", "-n", walked["store"]["namespace"], "-o", "json")
    )["items"]
    found = [each for each in secrets if "wordpress-admin-password" in each.get("data", {})]
    assert len(found) == 1
    return {key: base64.b64decode(value).decode() for key, value in found[0]["data"].items()}


def browser():
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    return urllib.request.build_opener(cookies)


def through_ingress(url: str, data: bytes | None = None) -> urllib.request.Request:
    """A name below localhost is this machine, which not every resolver knows."""
    parts = urllib.parse.urlsplit(url)
    local = parts._replace(netloc=f"127.0.0.1:{parts.port or 80}")
    return urllib.request.Request(local.geturl(), data, {"Host": parts.netloc})


def test_creation_tells_each_step_and_ends_with_the_address(walked):
    positions = [walked["told"].find(step) for step in STEPS]
    assert -1 not in positions and positions == sorted(positions), walked["told"]
    assert walked["store"]["url"] in walked["told"].splitlines()[-1]
    assert walked["store"]["state"] == "STATE_READY"


def test_the_front_page_has_the_title(walked):
    with browser().open(through_ingress(walked["store"]["url"])) as page:
        assert page.status == 200
        text = page.read().decode()
    assert "<title>Tea &amp; Cups" in text
    assert "stand-in for WooCommerce" in text, "the plugin is active"


def sign_in(store, credentials):
    url = store["url"].rstrip("/")
    form = {
        "log": credentials["wordpress-admin-user"],
        "pwd": credentials["wordpress-admin-password"],
        "testcookie": "1",
    }
    request = through_ingress(url + "/wp-login.php", urllib.parse.urlencode(form).encode())
    request.add_header("Cookie", "wordpress_test_cookie=WP%20Cookie%20check")

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(Stay()).open(request)
    assert answer.value.code == 302
    assert answer.value.headers["Location"].startswith(url + "/wp-admin")
    assert any("wordpress_logged_in" in each for each in answer.value.headers.get_all("Set-Cookie"))


def test_the_admin_can_sign_in(walked, credentials):
    sign_in(walked["store"], credentials)


def test_the_events_tell_every_transition(installation, walked):
    store = walked["store"]["id"]
    assert installation.wait_for(
        lambda: installation.transitions(store)[-1:] == [("provisioning", "ready")],
        "the last event to arrive",
    )
    assert installation.transitions(store) == [
        ("", "requested"), ("requested", "provisioning"), ("provisioning", "ready"),
    ]
    admin = installation.ask("whoami")["id"]
    table = installation.storectl("events", "--store", "demo").splitlines()
    created = next(line for line in table if re.search(r"-> requested\b", line))
    assert admin in created and re.search(r"[0-9a-f-]{36}$", created), "who, and by which request"
    assert any(re.search(r"\bprovisioning -> ready\b", line) for line in table)


def test_no_secret_is_where_it_does_not_belong(installation, walked, credentials, kubectl):
    secret = {value for key, value in credentials.items() if key != "wordpress-admin-user"}
    assert len(secret) >= 11 and min(map(len, secret)) >= 16
    release = ""
    for each in json.loads(
        kubectl("get", "secrets", "-n", walked["store"]["namespace"], "-l", "owner=helm",
                "-o", "json")
    )["items"]:
        packed = base64.b64decode(base64.b64decode(each["data"]["release"]))
        release += gzip.decompress(packed).decode()
    places = {
        "the release": release,
        "the events": installation.storectl("events", "--store", "demo", "-o", "json"),
        "the logs": installation.logs(),
        "an argument list": "\n".join(walked["lines"]),
        "what storectl says": walked["told"],
    }
    assert len(release) > 1000 and "wordpress" in release
    for place, text in places.items():
        shown = [form for value in secret for form in forms(value)]
        assert not [form for form in shown if form in text], f"a secret is in {place}"
    # How the set-up is given its own; on standard input.
    assert "php\0" in places["an argument list"]
    assert "base64_decode(" not in places["an argument list"]


def test_a_store_is_changed_and_keeps_what_it_has(installation, walked, credentials, kubectl):
    store = walked["store"]
    in_store = ("-n", store["namespace"])

    def change(*arguments):
        return installation.storectl(
            "stores", *arguments, "--wait", seconds=STORE_SECONDS_MAX, progress=True
        ).splitlines()[-1]

    def upload_limit():
        program = 'echo ini_get("upload_max_filesize");'
        return kubectl(
            "exec", *in_store, "deploy/wordpress", "-c", "wordpress", "--", "php", "-r", program
        )

    before = upload_limit()
    told = change("upgrade", "demo", "--set", "wordpress.php.ini.upload_max_filesize=33M")
    assert told == f"demo runs release 2: {store['url']}"
    assert upload_limit() == "33M" != before
    sign_in(store, credentials)

    assert "is suspended" in change("suspend", "demo")
    pods = json.loads(kubectl("get", "pods", *in_store, "-o", "json"))["items"]
    assert not [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    with pytest.raises(urllib.error.HTTPError) as answer:
        browser().open(through_ingress(store["url"]))
    assert answer.value.code == 503
    assert change("resume", "demo") == f"demo runs release 2: {store['url']}"
    assert upload_limit() == "33M"

    assert change("rollback", "demo") == f"demo runs release 3: {store['url']}"
    assert upload_limit() == before
    sign_in(store, credentials)
    with browser().open(through_ingress(store["url"])) as page:
        assert "<title>Tea &amp; Cups" in page.read().decode()
    installation.wait_for(
        lambda: len(installation.work(store["id"])) == 8, "the last event to arrive"
    )
    kinds = ("upgrade", "suspend", "resume", "rollback")
    assert installation.work(store["id"]) == [
        (kind, action) for kind in kinds for action in ("operation.begin", "operation.end")
    ]


def test_what_somebody_changes_by_hand_is_taken_back(installation, walked, kubectl):
    in_store = ("-n", walked["store"]["namespace"])

    def drifted():
        store = json.loads(installation.storectl("stores", "get", "demo", "-o", "json"))
        return next((c for c in store["conditions"] if c["type"] == "Drifted"), {})

    kubectl("scale", *in_store, "deploy/wordpress", "--replicas=0")
    installation.storectl("stores", "update", "demo", "--drift", "report")
    installation.wait_for(
        lambda: drifted().get("reason") == "Reported", "the drift to be told", seconds=90
    )
    assert drifted()["message"] == "Deployment/wordpress: spec.replicas"
    told = installation.storectl("stores", "update", "demo", "--drift", "correct")
    assert told == "demo: drift is corrected\n"
    installation.wait_for(
        lambda: drifted()["status"] == "STATUS_FALSE", "the correction", seconds=STORE_SECONDS_MAX
    )
    with browser().open(through_ingress(walked["store"]["url"])) as page:
        assert page.status == 200


def test_deletion_leaves_nothing(installation, walked, remains):
    namespace = walked["store"]["namespace"]
    assert remains(namespace)
    told = installation.storectl(
        "stores", "delete", "demo", "--yes", "--wait", seconds=STORE_SECONDS_MAX, progress=True
    )
    assert "deleted" in told
    assert namespace not in remains(namespace)
    installation.wait_for(lambda: not remains(namespace), "the volumes to go")
    installation.wait_for(
        lambda: installation.transitions(walked["store"]["id"])[-2:]
        == [("ready", "deleting"), ("deleting", "deleted")],
        "the last event to arrive",
    )
