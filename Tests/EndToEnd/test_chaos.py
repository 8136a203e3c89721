"""scripts/chaos finds what it looks for, and repeats itself; it is not run here."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import chaos_checks
import chaos_plan
import pytest

STORE = {
    "id": "s", "name": "demo", "namespace": "store-s", "state": "ready", "unreleased": False,
    "halfway": False,
}  # fmt: skip
HISTORY = [(1, None, "requested"), (2, "requested", "provisioning"), (3, "provisioning", "ready")]
BROKEN = [HISTORY[0], HISTORY[2]]
UPGRADE = {"operation": "u", "name": "demo", "kind": "upgrade", "state": "succeeded"}


def transitions(history):
    return [
        {"store": "s", "revision": revision, "previous_state": before, "state": after}
        for revision, before, after in history
    ]


def events(history, *work):
    told = [row | {"action": "store.transition", "operation": "p"} for row in transitions(history)]
    told += [
        {"store": "s", "revision": 3, "previous_state": None, "state": "", "action": action,
         "operation": "u"}
        for action in work
    ]
    return [each | {"late": 0.1} for each in told]


class Database:
    """Answers an event trail's questions."""

    def __init__(self, history, told):
        self._rows = {
            chaos_checks.STORES: [STORE],
            chaos_checks.TRANSITIONS: transitions(history),
            chaos_checks.WORK: [UPGRADE],
            chaos_checks.EVENTS: told,
            chaos_checks.WAITING_EVENTS: [{"waiting": 0, "rejected": 0}],
        }

    def query(self, statement):
        return self._rows[statement]


WORK = ("operation.begin", "operation.end")


@pytest.mark.parametrize(
    "history, told, wrong",
    [
        (HISTORY, events(HISTORY, *WORK), []),
        (HISTORY, events(HISTORY[:2], *WORK), ["'ready') has no event"]),
        (HISTORY, events([*HISTORY, HISTORY[2]], *WORK), ["'ready') has 2 events"]),
        (HISTORY, events([*HISTORY, (4, "ready", "deleting")], *WORK), ["which there is not"]),
        (HISTORY, events(HISTORY, "operation.begin"), ["'operation.end') has no event"]),
        (BROKEN, events(BROKEN, *WORK), ["at 3 after requested"]),
    ],
    ids=["whole", "missing", "doubled", "foreign", "unfinished", "broken chain"],
)
def test_the_audit_trail_is_compared_with_what_happened(history, told, wrong):
    problems = chaos_checks.EventTrail(Database(history, told)).problems()
    assert len(problems) == len(wrong)
    assert all(words in problem for words, problem in zip(wrong, problems)), problems


def namespace(name):
    labels = {"storeplane.dev/store-id": name.removeprefix("store-")}
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Active"}}


def release(name, state):
    return {"metadata": {"namespace": name, "labels": {"status": state}}}


def volume(name):
    return {"metadata": {"name": "pv"}, "spec": {"claimRef": {"namespace": name}}}


@pytest.mark.parametrize(
    "namespaces, releases, volumes, wrong",
    [
        (["store-s"], [("store-s", "superseded"), ("store-s", "deployed")], ["store-s"], None),
        (["store-s", "store-x"], [("store-s", "deployed")], [], "store-x (Active) is an orphan of"),
        (["store-s"], [("store-s", "deployed"), ("store-x", "deployed")], [], "release in store-x"),
        (["store-s"], [("store-s", "deployed")] * 2, [], "ready with releases {'deployed': 2}"),
        (["store-s"], [("store-s", "pending-upgrade")], [], "{'pending-upgrade': 1}"),
        (["store-s"], [], [], "ready without a release"),
        (["store-s"], [("store-s", "deployed")], ["store-x"], "volume pv is an orphan of store-x"),
    ],
)
def test_what_belongs_to_no_store_is_found(namespaces, releases, volumes, wrong):
    there = {"namespaces": []}

    def kubectl(_, what, *__):
        return json.dumps({"items": there[what]})

    cluster = chaos_checks.Cluster(kubectl)
    there |= {
        "namespaces": [namespace(name) for name in namespaces],
        "secrets": [release(*each) for each in releases],
        "persistentvolumes": [volume(name) for name in volumes],
    }
    problems = cluster.orphans({"store-s": STORE})
    assert len(problems) == (1 if wrong else 0)
    assert not wrong or wrong in problems[0], problems


def test_what_failed_may_leave_an_unfinished_record_beside_what_runs():
    def kubectl(_, what, *__):
        return json.dumps({"items": there[what]})

    there = {"namespaces": []}
    cluster = chaos_checks.Cluster(kubectl)
    there |= {"namespaces": [namespace("store-s")], "persistentvolumes": []}
    failed = {"store-s": STORE | {"unreleased": True}}
    there["secrets"] = [release("store-s", "deployed"), release("store-s", "pending-rollback")]
    assert cluster.orphans(failed) == []
    assert len(cluster.orphans({"store-s": STORE})) == 1
    there["secrets"] = [release("store-s", "pending-rollback")]
    assert len(cluster.orphans(failed)) == 1
    assert cluster.orphans({"store-s": failed["store-s"] | {"halfway": True}}) == []


class Files:
    def __init__(self, **files):
        self._files = files

    def files(self):
        return dict(self._files)


@pytest.mark.parametrize(
    "backups, files, wrong",
    [
        ([("a", "available", 7), ("b", "deleting", None)], {"a": 7}, None),
        ([("a", "available", 7)], {}, "a has 7 bytes, its file None"),
        ([("a", "available", 7)], {"a": 6}, "its file 6"),
        ([("a", "creating", None)], {}, "still being made"),
        ([], {"a": 7}, "the file a is of no backup"),
    ],
)
def test_the_object_store_is_compared_with_the_backups(backups, files, wrong):
    rows = [dict(zip(("key", "state", "bytes"), each)) for each in backups]
    installation = Database([], [])
    installation._rows[chaos_checks.BACKUPS] = rows
    problems = chaos_checks.lost_backups(installation, Files(**files))
    assert len(problems) == (1 if wrong else 0)
    assert not wrong or wrong in problems[0], problems


def test_a_seed_gives_the_same_again():
    def plan(seed):
        asked = [list(islice(chaos_plan.actions(seed, each), 50)) for each in chaos_plan.STORES]
        return asked, list(islice(chaos_plan.faults(seed), 50))

    assert plan(7) == plan(7) != plan(8)


def test_a_kind_of_fault_that_was_never_reached_is_told_and_wrong_in_a_long_run():
    plan = islice(chaos_plan.faults(6), len(chaos_plan.FAULTS))
    count = Counter((fault.kind, fault.target) for fault in plan)
    long = chaos_checks.EVERY_FAULT_SECONDS
    assert chaos_checks.unbroken(count) == chaos_checks.missed(count, long) == []
    del count["crash", "postgres"]
    assert chaos_checks.unbroken(count) == ["crash postgres"]
    assert chaos_checks.missed(count, long) == ["nothing was broken by: crash postgres"]
    assert chaos_checks.missed(count, long - 1) == []


@pytest.mark.parametrize("seed", range(50))
def test_a_long_run_has_time_for_every_kind_of_fault(seed):
    """Two thirds of it are left for what has to come back after each."""
    plan = islice(chaos_plan.faults(seed), len(chaos_plan.FAULTS))
    assert sum(fault.pause + fault.seconds for fault in plan) < chaos_checks.EVERY_FAULT_SECONDS / 3
