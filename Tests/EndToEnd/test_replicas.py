"""Any number of provisioners work from one table, each store on one of them at a time."""

from __future__ import annotations

import subprocess

import pytest

from installation import ROOT

STORES = ["pair-1", "pair-2", "pair-3", "pair-4"]
STEPS = 6


@pytest.fixture
def second_provisioner(installation):
    """Started beside the first with the same settings, at ports of its own."""
    settings = installation.settings("provisioner")
    settings |= {"LISTEN_ADDRESS": "127.0.0.1:0", "ADMIN_ADDRESS": "127.0.0.1:0"}
    log = installation.state / "logs" / "second-provisioner.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [ROOT / ".build" / "debug" / "provisioner"], env=settings, stderr=sink
        )
        installation.wait_for(lambda: '"ready"' in log.read_text(), "the second provisioner")
        yield log
        process.terminate()
        assert process.wait(timeout=60) == 0


def taken_up(log: str, store: str) -> int:
    """How many of a store's operations a provisioner took up, as it tells."""
    return len([each for each in log.splitlines() if "operation taken up" in each and store in each])


def test_each_store_is_worked_on_by_one(installation, second_provisioner):
    made = {name: installation.create(name) for name in STORES}
    try:
        for name in STORES:
            operation = installation.wait_until_done(name)
            assert operation["state"] == "STATE_SUCCEEDED", operation
            assert [step["attempts"] for step in operation["steps"]] == [1] * STEPS
            store = made[name]["store"]
            installation.wait_for(
                lambda: len(installation.transitions(store)) == 3, "the events to arrive"
            )
        logs = [
            (installation.state / "logs" / "provisioner.log").read_text(),
            second_provisioner.read_text(),
        ]
        took = [
            [taken_up(log, store["store"]) for store in made.values()] for log in logs
        ]
        assert all(sorted(each) == [0, 1] for each in zip(*took)), f"not each by one: {took}"
        assert all(any(each) for each in took), f"one of the two took nothing: {took}"
    finally:
        for name in STORES:
            installation.delete(name)
