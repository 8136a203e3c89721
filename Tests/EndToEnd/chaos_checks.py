"""What must hold after all that scripts/chaos has done, each as the list of what is wrong."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter

from chaos_plan import FAULTS
from installation import Installation

PASSING = ("requested", "provisioning", "deleting")
# The arrows of docs/provisioning.md.
ARROWS = {
    (None, "requested"), ("requested", "provisioning"), ("requested", "deleting"),
    ("provisioning", "ready"), ("provisioning", "failed"), ("failed", "requested"),
    ("failed", "deleting"), ("ready", "deleting"), ("deleting", "deleted"), ("deleting", "failed"),
}  # fmt: skip
# What anyone may ask a store of each engine for.
SHOWN = {"woocommerce": "/", "medusa": "/health"}
# Longer than a delivery that was killed keeps its events from the others, 60 s.
EVENTS_SECONDS_MAX = 90
# What the copies that are a part of other work may take beside it: jobs, whose pods come and go.
COPY_SECONDS = 30
# How long is looked at what is late, to tell when it came to its end.
SETTLE_SECONDS_MAX = 240
# Things are broken for as long as this in a run that must come to every kind of fault; a shorter one may not.
EVERY_FAULT_SECONDS = 300

STORES = """
SELECT s.id, s.name, s.engine, s.namespace, s.host, s.state, s.suspended, s.error_code, s.error_message,
  s.conditions @> '[{"type": "Released", "is_true": false}]' AS unreleased,
  EXISTS (SELECT FROM jsonb_array_elements(s.conditions) c WHERE c->>'type' = 'Released'
    AND c->>'reason' IN ('RestoreFailed', 'RollbackCancelled', 'ResumeCancelled')) AS halfway,
  EXISTS (SELECT FROM provisioner.operation_steps p
    WHERE p.operation = s.operation AND p.name LIKE '%-job') AS copies,
  extract(epoch FROM (SELECT max(occurred_at) FROM provisioner.store_transitions
    WHERE store = s.id)) AS since
FROM provisioner.stores s ORDER BY s.created_at
"""
OPERATIONS = """
SELECT o.id, s.name, o.kind, o.state, extract(epoch FROM o.created_at) AS since,
  o.kind = 'restore' AS copies,
  o.holder, o.cancel_requested_at, (SELECT json_agg(json_build_object('step', p.name, 'state',
    p.state, 'attempts', p.attempts, 'error', p.error_message, 'detail', p.detail)
    ORDER BY p.position) FROM provisioner.operation_steps p
    WHERE p.operation = o.id AND p.state <> 'pending') AS steps
FROM provisioner.operations o JOIN provisioner.stores s ON s.id = o.store
WHERE o.state IN ('pending', 'running')
"""
TRANSITIONS = """
SELECT store, revision, previous_state, state FROM provisioner.store_transitions
ORDER BY store, revision
"""
ENDS = """
SELECT kind, state, error_code, count(*) AS count FROM provisioner.operations
GROUP BY kind, state, error_code ORDER BY kind, state, error_code
"""
# Of provisioning and deletion the transitions tell.
WORK = """
SELECT o.id AS operation, s.name, o.kind, o.state FROM provisioner.operations o
JOIN provisioner.stores s ON s.id = o.store WHERE o.kind NOT IN ('provision', 'delete')
"""
EVENTS = """
SELECT store, revision, nullif(previous_state, '') AS previous_state, new_state AS state, action,
  operation, extract(epoch FROM recorded_at - occurred_at) AS late
FROM audit.events WHERE service = 'provisioner'
"""
BACKUPS = """
SELECT tenant || '/' || store || '/' || id || '.tar.gz' AS key, state, bytes FROM provisioner.backups
"""
WAITING_EVENTS = """
SELECT count(*) FILTER (WHERE delivered_at IS NULL AND rejected_at IS NULL) AS waiting,
  count(*) FILTER (WHERE rejected_at IS NOT NULL) AS rejected
FROM provisioner.outbox
"""


class Settlement:
    """Waits until no store is on its way to another state and no operation goes on."""

    def __init__(self, installation: Installation, cluster: Cluster, limit: float):
        self._installation = installation
        self._cluster = cluster
        self.limit = limit
        self._late: dict[str, str] = {}
        # When each namespace was last seen while Kubernetes removed it.
        self._removed: dict[str, float] = {}
        self.seconds = 0.0

    def wait(self, last_fault: float) -> list[str]:
        while True:
            now = time.time()
            self._removed |= dict.fromkeys(self._cluster.terminating(), now)
            passing = dict(self._passing())
            for what, (since, more) in passing.items():
                seconds = now - max(since, last_fault)
                if what not in self._late and seconds > self.limit + more:
                    told = f"{what}, {seconds:.0f} s after the last fault"
                    self._late[what] = f"{told}\n{self._work()}"
            self.seconds = now - last_fault
            if not passing:
                break
            if self.seconds > SETTLE_SECONDS_MAX:
                self._late |= {what: what for what in passing if what not in self._late}
                break
            time.sleep(1)
        end = f"  at {self.seconds:.0f} s after the last fault "
        end += f"still so: {', '.join(passing)}" if passing else "all had come to an end"
        return [f"{told}\n{end}" for told in self._late.values()]

    def _passing(self):
        """What is on its way to another state, since when it has been up to the product, and how
        much longer than others it may take."""
        for store in self._installation.query(STORES):
            if store["state"] in PASSING:
                since = max(store["since"], self._removed.get(store["namespace"], 0))
                what = f"{store['name']} ({store['id']}) is {store['state']}"
                yield what, (since, COPY_SECONDS if store["copies"] else 0)
        for each in self._installation.query(OPERATIONS):
            # Of the others the state of the store tells.
            if each["kind"] not in ("provision", "delete"):
                what = f"{each['kind']} {each['id']} of {each['name']} is {each['state']}"
                yield what, (each["since"], COPY_SECONDS if each["copies"] else 0)

    def _work(self) -> str:
        return "\n".join(f"  {json.dumps(each)}" for each in self._installation.query(OPERATIONS))


def unbroken(count: Counter) -> list[str]:
    """The kinds of faults that a run has not come to."""
    return [f"{kind} {target}" for kind, target in FAULTS if not count[kind, target]]


def missed(count: Counter, seconds: float) -> list[str]:
    """Those of them that a run of so many seconds must have come to."""
    if seconds < EVERY_FAULT_SECONDS:
        return []
    return [f"nothing was broken by: {each}" for each in unbroken(count)]


def living(installation: Installation) -> dict[str, dict]:
    """The stores that have something in the cluster, by namespace."""
    stores = installation.query(STORES)
    return {store["namespace"]: store for store in stores if store["state"] != "deleted"}


def ends(installation: Installation) -> list[str]:
    """How the operations ended, as lines of a summary."""
    return [
        " ".join(filter(None, ("operation", each["kind"], each["state"], each["error_code"])))
        + f": {each['count']}"
        for each in installation.query(ENDS)
    ]


def unanswered(installation: Installation) -> list[str]:
    """Stores that are ready and do not answer as they should."""
    problems = []
    for store in living(installation).values():
        # What was not brought back, or was stopped on the way, may serve nothing, and says so.
        if store["state"] == "ready" and not store["halfway"]:
            wanted = 503 if store["suspended"] else 200
            found = _status(installation, store["host"], SHOWN[store["engine"]])
            if found != wanted:
                problems.append(f"{store['name']} is ready and answers {found}, not {wanted}")
    return problems


def lost_backups(installation: Installation, objects) -> list[str]:
    """Files of backups that are not there, or not whole, and files of none."""
    problems, files = [], objects.files()
    for each in installation.query(BACKUPS):
        bytes = files.pop(each["key"], None)
        if each["state"] == "creating":
            problems.append(f"backup {each['key']} is still being made")
        elif each["state"] == "available" and bytes != each["bytes"]:
            problems.append(f"backup {each['key']} has {each['bytes']} bytes, its file {bytes}")
    return problems + [f"the file {key} is of no backup" for key in files]


def _status(installation: Installation, host: str, path: str) -> int | str:
    # A name below localhost is this machine, which not every resolver knows.
    address = installation.environment["INGRESS_ADDRESS"]
    url = urllib.parse.urlsplit(installation.environment["STORE_URL"].format(host=host))
    request = urllib.request.Request(f"http://{address}{path}", headers={"Host": url.netloc})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


class Cluster:
    """What stores have in Kubernetes, beside what was there before."""

    def __init__(self, kubectl):
        self._kubectl = kubectl
        self._before = {each["metadata"]["name"] for each in self._namespaces()}

    def _list(self, *what: str) -> list[dict]:
        return json.loads(self._kubectl("get", *what, "-o", "json"))["items"]

    def _namespaces(self) -> list[dict]:
        return self._list("namespaces", "-l", "app.kubernetes.io/managed-by=storeplane")

    def terminating(self) -> list[str]:
        """Namespaces that Kubernetes removes: until then a deletion can do nothing but wait."""
        return [
            each["metadata"]["name"]
            for each in self._namespaces() if each["status"]["phase"] == "Terminating"
        ]

    def orphans(self, stores: dict[str, dict]) -> list[str]:
        """Namespaces, releases and volumes of none of `stores`, and doubled releases."""
        problems = []
        for each in self._namespaces():
            name = each["metadata"]["name"]
            if name not in stores and name not in self._before:
                store = each["metadata"]["labels"].get("storeplane.dev/store-id")
                phase = each["status"]["phase"]
                problems.append(f"namespace {name} ({phase}) is an orphan of store {store}")
        releases: dict[str, Counter] = {}
        for each in self._list("secrets", "-A", "-l", "owner=helm,name=store"):
            labels, namespace = each["metadata"]["labels"], each["metadata"]["namespace"]
            releases.setdefault(namespace, Counter())[labels["status"]] += 1
        for namespace, states in releases.items():
            if namespace in self._before:
                continue
            if namespace not in stores:
                problems.append(f"the release in {namespace} is an orphan: {dict(states)}")
            elif stores[namespace]["state"] == "ready":
                # What failed stands beside what replaced it.
                past = {"superseded", "failed"}
                if stores[namespace]["unreleased"]:
                    # As does, until the next work on the store, what ended the worker for good.
                    past |= {"pending-upgrade", "pending-rollback"}
                current = {s: n for s, n in states.items() if s not in past}
                # A rollback that is stopped may have said of the one before only that it is not that any more.
                if current != {"deployed": 1} and (current or not stores[namespace]["halfway"]):
                    name = stores[namespace]["name"]
                    problems.append(f"{name} is ready with releases {dict(states)} in {namespace}")
        for namespace, store in stores.items():
            if store["state"] == "ready" and namespace not in releases:
                problems.append(f"{store['name']} is ready without a release in {namespace}")
        for each in self._list("persistentvolumes"):
            namespace = each["spec"].get("claimRef", {}).get("namespace", "")
            if namespace.startswith("store-") and namespace not in {*stores, *self._before}:
                problems.append(f"volume {each['metadata']['name']} is an orphan of {namespace}")
        return problems

    def volumes_gone(self) -> bool:
        """Volumes go after their claims, by a controller of their own."""
        return not [p for p in self.orphans({}) if p.startswith("volume ")]


class EventTrail:
    """The audit trail beside what it is to tell of."""

    def __init__(self, installation: Installation):
        self._installation = installation
        self.slowest = 0.0

    def wait(self) -> list[str]:
        deadline = time.monotonic() + EVENTS_SECONDS_MAX
        while self._installation.query(WAITING_EVENTS)[0]["waiting"]:
            if time.monotonic() > deadline:
                waiting = self._installation.query(WAITING_EVENTS)[0]["waiting"]
                return [f"{waiting} events are not delivered after {EVENTS_SECONDS_MAX} s"]
            time.sleep(1)
        return []

    def problems(self) -> list[str]:
        problems = self.wait()
        if rejected := self._installation.query(WAITING_EVENTS)[0]["rejected"]:
            problems.append(f"audit has rejected {rejected} events")
        events = self._installation.query(EVENTS)
        self.slowest = max((each["late"] for each in events), default=0)
        problems += self._histories()
        made = Counter(
            (each["store"], each["revision"], each["previous_state"], each["state"])
            for each in self._installation.query(TRANSITIONS)
        )
        told = Counter(
            (each["store"], each["revision"], each["previous_state"], each["state"])
            for each in events if each["action"] == "store.transition"
        )
        problems += _difference("transition", made, told)
        work = Counter()
        for each in self._installation.query(WORK):
            work[each["operation"], "operation.begin"] += 1
            if each["state"] in ("succeeded", "failed", "cancelled"):
                work[each["operation"], "operation.end"] += 1
        told = Counter(
            (each["operation"], each["action"])
            for each in events if each["action"] in ("operation.begin", "operation.end")
        )
        return problems + _difference("operation", work, told)

    def _histories(self) -> list[str]:
        """A store's transitions are one chain of arrows that are allowed, up to its state."""
        problems, last = [], {}
        for each in self._installation.query(TRANSITIONS):
            store, arrow = each["store"], (each["previous_state"], each["state"])
            state, revision = last.get(store, (None, 0))
            if arrow[0] != state or arrow not in ARROWS or each["revision"] != revision + 1:
                problems.append(f"store {store}: {arrow} at {each['revision']} after {state}")
            last[store] = each["state"], each["revision"]
        for store in self._installation.query(STORES):
            if last[store["id"]][0] != store["state"]:
                problems.append(f"store {store['id']} is {store['state']}, not {last[store['id']]}")
        return problems


def _difference(subject: str, made: Counter, told: Counter) -> list[str]:
    missing = [f"{subject} {each} has no event" for each in made if not told[each]]
    doubled = [f"{subject} {each} has {told[each]} events" for each in told if told[each] > 1]
    foreign = [f"event of {subject} {each}, which there is not" for each in told if not made[each]]
    return missing + doubled + foreign
