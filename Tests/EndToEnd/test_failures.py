"""What goes wrong around a store is told in words, and once mended a retry succeeds."""

from __future__ import annotations

import threading
import time

import pytest

from installation import STORE_SECONDS_MAX, CommandFailed

OUTAGE_SECONDS = 20


@pytest.mark.parametrize(
    "values, step, code, words",
    [
        (
            {"wordpress": {"image": {"tag": "no-such-tag"}}},
            "rollout", "IMAGE_PULL_FAILED", "no-such-tag",
        ),
        (
            {"resourceQuota": {"hard": {"limits.memory": "64Mi"}}},
            "rollout", "QUOTA_EXCEEDED", "quota",
        ),
        ({"wordpress": {"replicas": "many"}}, "release", "CHART_INVALID", "replicas"),
    ],
    ids=["image", "quota", "helm"],
)
def test_a_failure_says_why_and_a_retry_succeeds(
    installation, chart_values, request, values, step, code, words
):
    name = f"fail-{request.node.callspec.id}"
    chart_values(values)
    with pytest.raises(CommandFailed) as failed:
        installation.storectl(
            "stores", "create", "--name", name, "--engine", "woocommerce", "--wait",
            seconds=STORE_SECONDS_MAX,
        )
    try:
        assert failed.value.status == 1
        told = failed.value.output + failed.value.errors
        assert code in told and words in told, told
        store = installation.store(name)
        assert store["state"] == "STATE_FAILED"
        assert store["error"]["code"] == code and words in store["error"]["message"]
        steps = {each["name"]: each for each in installation.operation(name)["steps"]}
        assert steps[step]["state"] == "STATE_FAILED"

        chart_values({})
        installation.storectl("stores", "retry", name, "--wait", seconds=STORE_SECONDS_MAX)
        assert installation.store(name)["state"] == "STATE_READY"
    finally:
        installation.delete(name)


def test_the_api_server_may_be_gone_for_a_while(installation, api_proxy):
    installation.create("outage")
    try:
        installation.wait_for_step("outage", "release", "running", "succeeded")
        api_proxy.interrupt()
        try:
            time.sleep(OUTAGE_SECONDS)
            store = installation.store("outage")
            assert store["state"] == "STATE_PROVISIONING", store
        finally:
            api_proxy.restore()
        assert installation.wait_until_done("outage")["state"] == "STATE_SUCCEEDED"
    finally:
        installation.delete("outage")


def test_the_same_name_twice_at_once_is_one_store_and_one_conflict(installation):
    outcomes = []

    def ask():
        try:
            outcomes.append(installation.create("twice"))
        except CommandFailed as error:
            outcomes.append(error)

    both = [threading.Thread(target=ask) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    try:
        refused = [each for each in outcomes if isinstance(each, CommandFailed)]
        assert len(refused) == 1, outcomes
        assert refused[0].status == 5 and "twice" in refused[0].errors
        stores = installation.ask("stores", "list")
        found = stores["stores"] if isinstance(stores, dict) else stores
        assert [each["name"] for each in found].count("twice") == 1
    finally:
        # While it is being made: the deletion stops that first.
        installation.delete("twice")
