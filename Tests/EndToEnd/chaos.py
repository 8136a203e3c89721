"""Asks for stores of an installation with two replicas of everything while parts of it fail.

Run by scripts/chaos, which sets up what this needs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path

import chaos_checks
import chaos_plan
import plugin_server
from backup_store import BackupStore
from installation import SERVICES, CommandFailed, Installation, installed, proxy_before
from interruptible_proxy import InterruptibleProxy
from replicas import Replicas

PORT_BASE = 19080
# How long what is refused for now is asked for again.
ASK_SECONDS_MAX = 20
# storectl's exit codes that a person may see meanwhile: not there, conflict, unavailable, too late.
REFUSALS = {3: "not found", 5: "conflict", 7: "unavailable", 8: "out of time"}
# What storectl is given: a service that does not answer is as good as one that is away.
REQUEST_TIMEOUT = "5s"
BEGAN = time.monotonic()


def tell(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f}  {text}", file=sys.stderr, flush=True)


class Customers:
    """Those who ask for stores, one thread for each store."""

    def __init__(self, installation: Installation, seed: int):
        self._installation = installation
        self._ended = threading.Event()
        self.outcomes: dict[str, Counter] = defaultdict(Counter)
        self.problems: list[str] = []
        self._threads = [
            threading.Thread(target=self._use, args=(chaos_plan.actions(seed, store),))
            for store in chaos_plan.STORES
        ]

    @contextmanager
    def busy(self):
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join()

    def _use(self, actions) -> None:
        for action in actions:
            if self._ended.wait(action.pause):
                return
            try:
                outcome = self._ask(action)
            except Exception as error:
                outcome = "broken"
                self.problems.append(f"{action.verb} {action.store}: {error}")
            self.outcomes[action.verb][outcome] += 1
            tell(f"{action.verb} {action.store} {' '.join(action.arguments)}: {outcome}")

    def _ask(self, action: chaos_plan.Action) -> str:
        deadline = time.monotonic() + ASK_SECONDS_MAX
        while True:
            try:
                return self._do(action)
            except CommandFailed as error:
                if error.status not in REFUSALS:
                    raise
                # What ends with the run is asked for no more.
                if time.monotonic() > deadline or self._ended.wait(1):
                    return REFUSALS[error.status]

    def _do(self, action: chaos_plan.Action) -> str:
        name, bound = action.store, ("--request-timeout", REQUEST_TIMEOUT)
        match action.verb:
            case "create":
                engine = "medusa" if name in chaos_plan.MEDUSA_STORES else "woocommerce"
                backup = self._backup(engine) if action.from_backup else None
                source = ("--from-backup", backup) if backup else ()
                self._installation.create(name, *source, *bound, engine=engine)
                return "accepted, from a backup" if backup else "accepted"
            case "restore":
                backup = self._backup(store=name)
                if not backup:
                    return "no backup"
                self._installation.storectl(
                    "stores", "restore", name, "--backup", backup, "--yes", *bound
                )
            case "cancel":
                operation = self._installation.store(name)["operation"]
                self._installation.storectl("operations", "cancel", operation, *bound)
            case "delete":
                arguments = ("--yes", *action.arguments, *bound)
                self._installation.storectl("stores", "delete", name, *arguments)
            case verb:
                self._installation.storectl("stores", verb, name, *action.arguments, *bound)
        return "accepted"

    def _backup(self, engine: str = "", store: str = "") -> str | None:
        """The newest one of an engine, or of a store."""
        of = ("--store", store) if store else ()
        listed = self._installation.ask("backups", "list", *of, "--request-timeout", REQUEST_TIMEOUT)
        found = listed["backups"] if isinstance(listed, dict) else listed
        wanted = f"ENGINE_{engine.upper()}"
        for each in found:
            if each["state"] == "STATE_AVAILABLE" and (store or each["engine"] == wanted):
                return each["id"]
        return None


class Breakage:
    """Breaks things and mends them again, one after another."""

    def __init__(
        self, installation: Installation, api: InterruptibleProxy, objects: BackupStore,
        replicas: Replicas, limit: float,
    ):  # fmt: skip
        # Seconds from a fault until every service is ready again.
        self._limit = limit
        self._installation = installation
        self._api = api
        self._objects = objects
        self._replicas = replicas
        self.count: Counter = Counter()
        self.slowest = (0.0, "none")
        self.problems: list[str] = []

    def run(self, faults, seconds: float) -> float:
        """Goes on for `seconds`; returns when the last one was mended, by the clock of the day."""
        deadline = time.monotonic() + seconds
        mended = time.time()
        for fault in faults:
            if time.monotonic() + fault.pause + fault.seconds > deadline:
                return mended
            time.sleep(fault.pause)
            tell(f"FAULT {fault}, {fault.seconds:.1f} s")
            self._break(fault)
            mended = time.time()
            self.count[fault.kind, fault.target] += 1
            self._await_recovery(fault)
        return mended

    def _break(self, fault: chaos_plan.Fault) -> None:
        match fault.kind, fault.target:
            case "kill -9", "helm-worker":
                for replica in self._replicas.of["provisioner"]:
                    replica.kill_helm_worker()
            case "kill -9", service:
                hit = [self._replicas.of[service][number - 1] for number in fault.replicas]
                for replica in hit:
                    replica.kill()
                time.sleep(fault.seconds)
                for replica in hit:
                    replica.start()
            case ("stop" | "crash") as how, "postgres":
                mode = "fast" if how == "stop" else "immediate"
                self._installation.postgres("postgres_control", "-w", "-m", mode, "stop")
                time.sleep(fault.seconds)
                self._installation.postgres("start_postgres")
            case "refuse", "Kubernetes":
                self._api.interrupt()
                time.sleep(fault.seconds)
                self._api.restore()
            case "refuse", _:
                self._objects.refuse()
                time.sleep(fault.seconds)
                self._objects.serve()
            case _, "Kubernetes":
                self._api.drop()
            case _, "services":
                for proxy in self._replicas.proxies.values():
                    proxy.drop()
            case _, "postgres":
                self._installation.query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )

    def _await_recovery(self, fault: chaos_plan.Fault) -> None:
        began = time.monotonic()
        if waiting := self._replicas.await_ready(self._limit):
            told = f"not ready {self._limit:.0f} s after {fault}: {', '.join(waiting)}"
            self.problems.append(told)
        self.slowest = max(self.slowest, (time.monotonic() - began, str(fault)))
        self._look_for_crashes()

    def _look_for_crashes(self) -> None:
        for replica in self._replicas.all():
            if problem := replica.problem():
                self.problems.append(problem)
                replica.start()


def check(
    installation: Installation, settlement, cluster, objects, trail, last_fault: float
) -> list[str]:
    problems = settlement.wait(last_fault)
    tell(f"settled {settlement.seconds:.0f} s after the last fault")
    stores = chaos_checks.living(installation)
    for store in stores.values():
        why = f": {store['error_code']}: {store['error_message']}" if store["error_code"] else ""
        suspended = ", suspended" if store["suspended"] else ""
        tell(f"{store['name']} ({store['id']}) is {store['state']}{suspended}{why}")
    problems += chaos_checks.unanswered(installation)
    problems += cluster.orphans(stores)
    problems += chaos_checks.lost_backups(installation, objects)
    problems += delete(installation, [store["name"] for store in stores.values()])
    try:
        installation.wait_for(cluster.volumes_gone, "the volumes to go", settlement.limit)
    except AssertionError as error:
        problems.append(str(error))
    problems += cluster.orphans(chaos_checks.living(installation))
    problems += chaos_checks.lost_backups(installation, objects)
    tell("stores deleted; waiting for the events")
    return problems + trail.problems()


def delete(installation: Installation, names: list[str]) -> list[str]:
    problems = []

    def ask(name: str) -> None:
        try:
            installation.delete(name)
        except (CommandFailed, subprocess.TimeoutExpired) as error:
            problems.append(f"{name} is not deleted: {error}")

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def run(seed: int, seconds: float, settle: float, kubeconfig: str) -> list[str]:
    def kubectl(*arguments, given=None):
        return subprocess.run(
            ["kubectl", "--kubeconfig", kubeconfig, *arguments],
            check=True, input=given, stdout=subprocess.PIPE, text=True,
        ).stdout

    cluster = chaos_checks.Cluster(kubectl)
    api = proxy_before(kubeconfig)
    objects = BackupStore(kubeconfig)
    plugin_server.serve(kubectl)
    try:
        with installed(kubeconfig, api, plugin_server.SOURCE, PORT_BASE) as installation:
            try:
                problems = attempt(installation, api, objects, cluster, seed, seconds, settle)
            except Exception as error:
                traceback.print_exc()
                problems = [f"the run broke off: {error!r}"]
            if problems:
                keep_logs(installation, seed)
            return problems
    finally:
        plugin_server.stop(kubectl)
        objects.stop()
        api.interrupt()


def attempt(
    installation: Installation, api, objects, cluster, seed: int, seconds: float, settle: float
):
    """What is wrong in the end."""
    replicas = Replicas(installation, chaos_plan.REPLICAS, provisioner=objects.settings)
    customers = Customers(installation, seed)
    breakage = Breakage(installation, api, objects, replicas, settle)
    settlement = chaos_checks.Settlement(installation, cluster, settle)
    trail = chaos_checks.EventTrail(installation)
    with replicas.running():
        tell(f"two replicas each of {', '.join(SERVICES)} are ready")
        installation.create(chaos_plan.READY_STORE)
        made = installation.wait_until_done(chaos_plan.READY_STORE)
        assert made["state"] == "STATE_SUCCEEDED", made
        tell(f"{chaos_plan.READY_STORE} is made")
        with customers.busy():
            last_fault = breakage.run(chaos_plan.faults(seed), seconds)
        problems = check(installation, settlement, cluster, objects, trail, last_fault)
        problems += customers.problems + breakage.problems + replicas.stop()
        problems += chaos_checks.missed(breakage.count, seconds)
    summarize(customers, breakage)
    print(*chaos_checks.ends(installation), sep="\n")
    print(f"all stores at rest: {settlement.seconds:.0f} s after the last fault")
    print(f"slowest event: {trail.slowest:.1f} s from its transition to the audit trail")
    return problems


def summarize(customers: Customers, breakage: Breakage) -> None:
    for verb, outcomes in sorted(customers.outcomes.items()):
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"action {verb}: {told}")
    for (kind, target), count in sorted(breakage.count.items()):
        print(f"fault {kind} {target}: {count}")
    for fault in chaos_checks.unbroken(breakage.count):
        print(f"fault {fault}: never")
    seconds, fault = breakage.slowest
    print(f"slowest recovery: {seconds:.1f} s until all replicas were ready, after {fault}")


def keep_logs(installation: Installation, seed: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix=f"storeplane-chaos-{seed}-"))
    shutil.copytree(installation.state / "logs", folder, dirs_exist_ok=True)
    print(f"logs: {folder}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--settle", type=float, default=30)
    given = parser.parse_args()
    print(f"seed: {given.seed}", flush=True)
    kubeconfig = os.environ["STOREPLANE_TEST_KUBECONFIG"]
    problems = run(given.seed, given.minutes * 60, given.settle, kubeconfig)
    for problem in problems:
        print(f"WRONG: {problem}")
    if problems:
        print(f"again: scripts/chaos --minutes {given.minutes:g} --seed {given.seed}")
    else:
        print("all is well")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
