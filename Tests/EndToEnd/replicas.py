"""Two replicas of every service behind a proxy each, which takes the service's usual place."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from installation import ROOT, SERVICES, Installation
from interruptible_proxy import InterruptibleProxy

# What a service has to end in good order, its SHUTDOWN_GRACE of 20 s included.
STOP_SECONDS_MAX = 60
START_SECONDS_MAX = 60


class Replica:
    """One process of a service, which may be killed and started again."""

    def __init__(self, installation: Installation, service: str, number: int, more: dict[str, str]):
        first = installation.port(service)
        self.service = service
        self.name = f"{service}-{number}"
        self.port = first + 10 * number
        self._admin_port = self.port + 100
        self._environment = installation.settings(service) | {
            "LISTEN_ADDRESS": f"127.0.0.1:{self.port}",
            "ADMIN_ADDRESS": f"127.0.0.1:{self._admin_port}",
        } | more
        self._log = installation.state / "logs" / f"{self.name}.log"
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [ROOT / ".build" / "debug" / self.service], env=self._environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._admin_port}/readyz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process = None

    def kill_helm_worker(self) -> bool:
        """Whether there was one."""
        found = subprocess.run(
            ["pgrep", "-P", str(self._process.pid), "-x", "helm-worker"],
            capture_output=True, text=True,
        ).stdout.split()
        for process in found:
            os.kill(int(process), signal.SIGKILL)
        return bool(found)

    def ask_to_stop(self) -> None:
        if self._process:
            self._process.terminate()

    def problem(self) -> str | None:
        """How it ended, where nobody had it end."""
        if self._process and self._process.poll() is not None:
            return f"{self.name} ended by itself with {self._process.returncode}:\n{self.tail()}"
        return None

    def stop(self) -> str | None:
        """What is wrong with how it ends."""
        if not self._process:
            return None
        try:
            status = self._process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.name} did not end in {STOP_SECONDS_MAX} s:\n{self.tail()}"
        self._process = None
        return f"{self.name} ended with {status}:\n{self.tail()}" if status else None

    def tail(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-5:])


class Replicas:
    def __init__(self, installation: Installation, count: int, provisioner: dict[str, str]):
        """The provisioner has the settings that are given beside its own."""
        self._installation = installation
        more = {"provisioner": provisioner}
        self.of = {
            service: [
                Replica(installation, service, number, more.get(service, {}))
                for number in range(1, count + 1)
            ]
            for service in SERVICES
        }
        self.proxies: dict[str, InterruptibleProxy] = {}

    def all(self) -> list[Replica]:
        return [replica for service in self.of.values() for replica in service]

    def await_ready(self, seconds: float = START_SECONDS_MAX) -> list[str]:
        """The names of those that are not ready in time."""
        deadline = time.monotonic() + seconds
        waiting = self.all()
        while True:
            waiting = [replica for replica in waiting if not replica.is_ready()]
            if not waiting or time.monotonic() > deadline:
                return [replica.name for replica in waiting]
            time.sleep(0.2)

    @contextmanager
    def running(self):
        """In place of the services that scripts/up has started."""
        for service in SERVICES:
            os.kill(self._installation.process(service), signal.SIGTERM)
        for service in SERVICES:
            self._installation.wait_for(
                lambda: not Path(f"/proc/{self._installation.process(service)}").exists(),
                f"{service} to end", STOP_SECONDS_MAX,
            )
        try:
            for service, replicas in self.of.items():
                self.proxies[service] = InterruptibleProxy(
                    "127.0.0.1", *(each.port for each in replicas),
                    port=self._installation.port(service),
                )
                for replica in replicas:
                    replica.start()
            if waiting := self.await_ready():
                raise AssertionError(f"not ready after {START_SECONDS_MAX} s: {waiting}")
            yield self
        finally:
            self.stop()
            for proxy in self.proxies.values():
                proxy.interrupt()

    def stop(self) -> list[str]:
        for replica in self.all():
            replica.ask_to_stop()
        problems = [problem for replica in self.all() if (problem := replica.stop())]
        program = self._installation.settings("provisioner")["HELM_WORKER_PATH"]
        left = subprocess.run(["pgrep", "-f", f"^{program}"], capture_output=True, text=True).stdout
        if left:
            problems.append(f"a helm-worker has outlived its provisioner: {left.split()}")
        return problems
