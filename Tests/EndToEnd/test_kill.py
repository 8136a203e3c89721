"""Any process may die at any point of a creation: the store ends ready, its history whole."""

from __future__ import annotations

import json

import pytest

# Who is killed while which step runs.
MOMENTS = [
    ("config", "credentials"),
    ("helm-worker", "release"),
    ("provisioner", "rollout"),
    ("audit", "rollout"),
    ("gateway", "setup"),
    ("provisioner", "setup"),
]
MADE = [("", "requested"), ("requested", "provisioning"), ("provisioning", "ready")]


@pytest.mark.parametrize("service, step", MOMENTS)
def test_a_creation_survives_kill_9(installation, kubectl, service, step):
    name = f"kill-{service}-{step}"
    store = installation.create(name)["store"]
    try:
        installation.wait_for_step(name, step, "running", "succeeded")
        installation.kill(service)
        installation.up()
        operation = installation.wait_until_done(name)
        assert operation["state"] == "STATE_SUCCEEDED", operation
        assert installation.store(name)["state"] == "STATE_READY"
        installation.wait_for(
            lambda: len(installation.transitions(store)) >= len(MADE), "the events to arrive"
        )
        assert installation.transitions(store) == MADE
        namespace = installation.store(name)["namespace"]
        assert releases(kubectl, namespace) == ["deployed"]
    finally:
        installation.delete(name)


def releases(kubectl, namespace: str) -> list[str]:
    """The states of the revisions of the store's release that are not superseded."""
    secrets = json.loads(kubectl("get", "secrets", "-n", namespace, "-l", "owner=helm", "-o", "json"))
    states = [each["metadata"]["labels"]["status"] for each in secrets["items"]]
    return [each for each in states if each != "superseded"]
