"""Any process may die at any point of a creation: the store ends ready, its history whole."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager

import pytest

# Who is killed while which step runs, and how often the step is begun at least.
MOMENTS = [
    # It is stopped before, so that the step waits for it; the first attempt may outlast that.
    ("config", "credentials", 1),
    ("helm-worker", "release", 2),
    ("provisioner", "release", 2),
    ("provisioner", "rollout", 2),
    ("audit", "rollout", 1),
    ("gateway", "setup", 1),
    ("provisioner", "setup", 2),
]
# Helm asks for some dozens of things, one after the other.
DELAY_SECONDS = 0.2
MADE = [("", "requested"), ("requested", "provisioning"), ("provisioning", "ready")]


@contextmanager
def held(installation, api_proxy, step):
    """Keeps a step running for long enough to be seen, where it would be over in a moment."""
    if step == "credentials":
        os.kill(installation.process("config"), signal.SIGSTOP)
        yield
    elif step == "release":
        with api_proxy.slowed(DELAY_SECONDS):
            yield
    else:
        yield


@pytest.mark.parametrize("service, step, attempts_min", MOMENTS)
def test_a_creation_survives_kill_9(
    installation, api_proxy, kubectl, service, step, attempts_min
):
    name = f"kill-{service}-{step}"
    try:
        with held(installation, api_proxy, step):
            store = installation.create(name)["store"]
            installation.wait_for_step(name, step, "running")
            namespace = installation.store(name)["namespace"]
            if step == "release":
                # Before, no call is cut off: the step may go on as if nothing had been.
                installation.wait_for(
                    lambda: releases(kubectl, namespace) == ["pending-install"], "Helm to begin"
                )
            installation.kill(service)
        installation.up()
        operation = installation.wait_until_done(name)
        assert operation["state"] == "STATE_SUCCEEDED", operation
        attempts = {each["name"]: each["attempts"] for each in operation["steps"]}
        assert attempts[step] >= attempts_min, operation
        assert installation.store(name)["state"] == "STATE_READY"
        installation.wait_for(
            lambda: len(installation.transitions(store)) >= len(MADE), "the events to arrive"
        )
        assert installation.transitions(store) == MADE
        assert releases(kubectl, namespace) == ["deployed"]
    finally:
        installation.delete(name)


def releases(kubectl, namespace: str) -> list[str]:
    """The states of the revisions of the store's release that are not superseded."""
    secrets = json.loads(kubectl("get", "secrets", "-n", namespace, "-l", "owner=helm", "-o", "json"))
    states = [each["metadata"]["labels"]["status"] for each in secrets["items"]]
    return [each for each in states if each != "superseded"]
