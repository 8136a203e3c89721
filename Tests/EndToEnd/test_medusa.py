"""A store that runs on Medusa, from its creation to the last trace of it gone.

In Medusa's place is the stand-in of scripts/images, which speaks to the real Postgres and Redis.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from installation import STORE_SECONDS_MAX

WORKLOADS = (
    "statefulset/postgres", "statefulset/redis",
    "deployment/medusa-server", "deployment/medusa-worker",
)  # fmt: skip


class Shop:
    """A store's API, through the ingress."""

    def __init__(self, url: str):
        self.parts = urllib.parse.urlsplit(url)
        self.token = ""
        self.key = ""

    def ask(self, path: str, body: dict | None = None) -> dict:
        # A name below localhost is this machine, which not every resolver knows.
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.parts.port}{path}",
            json.dumps(body).encode() if body else None,
            {
                "Host": self.parts.netloc,
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.token}",
                "X-Publishable-Api-Key": self.key,
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def sign_in(self, mail: str, password: str) -> None:
        self.token = self.ask("/auth/user/emailpass", {"email": mail, "password": password})["token"]
        self.key = self.ask("/admin/api-keys")["api_keys"][0]["token"]


def test_a_store_on_medusa(installation, chart_values, kubectl, remains):
    # Two servers and a worker find an empty database at once: one of them migrates it.
    chart_values({"medusa": {"server": {"replicas": 2}}})
    try:
        installation.storectl(
            "stores", "create", "--name", "medusa", "--engine", "medusa", "--title", "Tea & Cups",
            "--wait", seconds=STORE_SECONDS_MAX,
        )
        store = installation.store("medusa")
        assert store["state"] == "STATE_READY" and store["engine"] == "ENGINE_MEDUSA"
        namespace = store["namespace"]
        assert remains(namespace)
        pods = json.loads(kubectl("get", "pods", "-n", namespace, "-o", "json"))["items"]
        for status in (pod["status"] for pod in pods):
            every = status["containerStatuses"] + status.get("initContainerStatuses", [])
            assert [each["name"] for each in every if each["restartCount"]] == []

        shop = Shop(store["url"])
        secret = kubectl("get", "secret", "storeplane-credentials", "-n", namespace, "-o", "json")
        credentials = {
            key: base64.b64decode(value).decode() for key, value in json.loads(secret)["data"].items()
        }
        with pytest.raises(urllib.error.HTTPError, match="401"):
            shop.sign_in(credentials["medusa-admin-email"], "wrong")
        shop.sign_in(credentials["medusa-admin-email"], credentials["medusa-admin-password"])
        assert [each["name"] for each in shop.ask("/admin/stores")["stores"]] == ["Tea & Cups"]

        shop.ask("/admin/products", {"title": "Earl Grey"})

        def product():
            (only,) = shop.ask("/store/products")["products"]
            return only["title"] == "Earl Grey" and only["handled_at"]

        handled = installation.wait_for(product, "the worker to hear of the product")

        kubectl("delete", "pods", "-n", namespace, "--all", "--force", "--grace-period=0")
        for workload in WORKLOADS:
            kubectl("rollout", "status", "-n", namespace, workload, "--timeout=120s")
        installation.wait_for(answering(shop), "the ingress to hear of the new pods")
        assert product() == handled

        for verb in ("suspend", "resume"):
            installation.storectl("stores", verb, "medusa", "--wait", seconds=STORE_SECONDS_MAX)
        assert product() == handled
    finally:
        installation.delete("medusa")
    installation.wait_for(lambda: not remains(namespace), "all of it to go")


def answering(shop: Shop):
    def ask():
        try:
            return shop.ask("/store/products")
        except urllib.error.HTTPError as error:
            assert error.code == 503
            return None

    return ask
