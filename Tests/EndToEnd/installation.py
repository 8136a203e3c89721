"""An installation of its own for the tests, made by scripts/up, and how a person uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import yaml

from interruptible_proxy import InterruptibleProxy

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("gateway", "provisioner", "config", "audit")
# What a store may take on a loaded machine, all retries included.
STORE_SECONDS_MAX = 240


class CommandFailed(Exception):
    def __init__(self, command, done):
        super().__init__(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        self.status = done.returncode
        self.output = done.stdout
        self.errors = done.stderr


def proxy_before(kubeconfig: str) -> InterruptibleProxy:
    """What an installation takes for the API server."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    server = urllib.parse.urlsplit(config["clusters"][0]["cluster"]["server"])
    return InterruptibleProxy(server.hostname, server.port)


@contextmanager
def installed(kubeconfig: str, api_proxy: InterruptibleProxy, plugin_source: str, port_base: int):
    """An installation that runs, with nothing in it, and is removed afterwards."""
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="storeplane.", dir="/tmp") as folder:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{api_proxy.port}"
        proxied = Path(folder) / "kubeconfig"
        proxied.touch(mode=0o600)
        proxied.write_text(yaml.safe_dump(config))
        values = Path(folder) / "values.yaml"
        local = yaml.safe_load((ROOT / "helm/ecommerce-store/values-local.yaml").read_text())
        values.write_text(yaml.safe_dump({**local, "woocommerce": {"pluginSource": plugin_source}}))
        installation = Installation(Path(folder) / "state", proxied, values, port_base)
        try:
            installation.up()
            installation.sign_in()
            yield installation
        finally:
            installation.down()


class Installation:
    """The four services on this machine, beside a developer's own."""

    def __init__(self, state: Path, kubeconfig: Path, values: Path, port_base: int):
        self.state = state
        self.port_base = port_base
        self.values = values
        self.environment = {
            **os.environ,
            "STOREPLANE_STATE": str(state),
            "KUBECONFIG": str(kubeconfig),
            "CHART_VALUES_FILES": str(values),
            "STORE_CREATION_COOLDOWN": "0s",
            # So few that a second provisioner finds work beside the first.
            "PROVISIONER_WORKERS": "2",
            "STORE_URL": "http://{host}:8880",
            "INGRESS_ADDRESS": "127.0.0.1:8880",
            "STORECTL_CONFIG": str(state / "storectl.json"),
            "STOREPLANE_ADDRESS": f"http://127.0.0.1:{port_base}",
        }

    def up(self) -> str:
        """Starts what does not run; as a person does after a crash."""
        return self.run(
            "scripts/up", "--yes", "--debug", "--port-base", str(self.port_base), seconds=900
        )

    def down(self) -> None:
        self.run("scripts/down", "--purge", seconds=120)

    def sign_in(self) -> None:
        self.storectl("login", "--username", "admin", given=self.admin_password())

    def admin_password(self) -> str:
        return self.run("scripts/up", "--admin-password").strip()

    def run(
        self, *command: str, given: str | None = None, seconds: float = 60, progress: bool = False
    ) -> str:
        """What the command says, with `progress` what it tells on the way before it."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, input=given, capture_output=True,
            text=True, timeout=seconds, stdin=None if given is not None else subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise CommandFailed(command, done)
        return done.stderr + done.stdout if progress else done.stdout

    # The command line

    def storectl(self, *arguments: str, **options) -> str:
        return self.run(str(ROOT / ".build" / "debug" / "storectl"), *arguments, **options)

    def ask(self, *arguments: str):
        return json.loads(self.storectl(*arguments, "-o", "json"))

    def store(self, name: str) -> dict:
        return self.ask("stores", "get", name)

    def operation(self, name: str) -> dict:
        return self.ask("operations", "get", self.store(name)["operation"])

    def create(self, name: str, *arguments: str, engine: str = "woocommerce") -> dict:
        """Asks for a store and does not wait for it."""
        return self.ask("stores", "create", "--name", name, "--engine", engine, *arguments)

    def wait_for_step(self, name: str, step: str, *states: str) -> dict:
        """Returns the operation once `step` is in one of `states`."""

        def reached():
            operation = self.operation(name)
            found = {each["name"]: each for each in operation["steps"]}[step]
            if found["state"].removeprefix("STATE_").lower() in states:
                return operation
            assert not operation.get("done"), f"done before {step} was {states}: {operation}"
            return None

        return self.wait_for(reached, f"{step} of {name} to be {states}")

    def wait_until_done(self, name: str) -> dict:
        def done():
            operation = self.operation(name)
            return operation if operation.get("done") else None

        return self.wait_for(done, f"the operation on {name} to be done", STORE_SECONDS_MAX)

    def wait_for(self, condition, what: str, seconds: float = 120):
        """Looks until `condition` is true; a service that is being restarted is asked again."""
        deadline = time.monotonic() + seconds
        problem = None
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except CommandFailed as error:
                problem = error
            time.sleep(0.3)
        raise AssertionError(f"waited {seconds} s for {what}; last problem: {problem}")

    def delete(self, name: str) -> None:
        self.storectl("stores", "delete", name, "--yes", "--wait", seconds=STORE_SECONDS_MAX)

    def transitions(self, store: str) -> list[tuple[str, str]]:
        """Every change of the store's state as its events tell, by its id, in order."""
        ordered = sorted(
            (each for each in self.events(store) if each.get("newState")),
            key=lambda e: int(e["revision"]),
        )
        revisions = [int(each["revision"]) for each in ordered]
        assert revisions == sorted(set(revisions)), f"doubled or out of order: {revisions}"
        return [(each.get("previousState", ""), each["newState"]) for each in ordered]

    def work(self, store: str) -> list[tuple[str, str]]:
        """What was done to the store beside its transitions, as its events tell, in order."""
        events = [each for each in self.events(store) if each["action"].startswith("operation.")]
        events.sort(key=lambda each: each["occurTime"])
        return [(each["details"]["kind"], each["action"]) for each in events]

    def events(self, store: str) -> list[dict]:
        events = self.ask("events", "--store", store, "--limit", "1000")
        return events["events"] if isinstance(events, dict) else events

    # The processes

    def port(self, service: str) -> int:
        return int(self.settings(service)["LISTEN_ADDRESS"].rpartition(":")[2])

    def settings(self, service: str) -> dict[str, str]:
        """The environment that scripts/up starts a service with."""
        lines = (self.state / "run" / f"{service}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def signing_key(self) -> bytes:
        return (self.state / "keys" / "token-signing-key.pem").read_bytes()

    def signing_key_id(self) -> str:
        return json.loads((self.state / "caller-keys.json").read_text())["keys"][0]["kid"]

    def process(self, service: str) -> int:
        return int((self.state / "run" / f"{service}.pid").read_text().split()[0])

    def helm_worker(self) -> int | None:
        children = subprocess.run(
            ["pgrep", "-P", str(self.process("provisioner")), "-f", "helm-worker"],
            capture_output=True, text=True,
        ).stdout.split()
        return int(children[0]) if children else None

    def kill(self, service: str) -> None:
        process = self.helm_worker() if service == "helm-worker" else self.process(service)
        assert process, f"{service} does not run"
        os.kill(process, signal.SIGKILL)

    # Postgres

    def postgres(self, *command: str, **options) -> str:
        """What a function of scripts/up.d/postgres.sh says; the database is to be there already."""
        parts = ("cluster.d/common", "cluster.d/processes", "up.d/common", "up.d/postgres")
        sourced = "; ".join(f". scripts/{part}.sh" for part in parts)
        program = f'set -euo pipefail; project=$PWD; {sourced}; locate_state; find_postgres; "$@"'
        return self.run("bash", "-c", program, "postgres", *command, **options)

    def query(self, statement: str) -> list[dict]:
        """The rows of a query, as the superuser, whom no tenant's limits concern."""
        rows = f"SELECT coalesce(json_agg(rows), '[]') FROM ({statement}) rows"
        command = ("in_database", "storeplane", "psql", "-v", "ON_ERROR_STOP=1", "-qtAc", rows)
        return json.loads(self.postgres(*command))

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted((self.state / "logs").glob("*.log")))

    # HTTP, as curl would

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str):
        """Status, header fields and body of a request to the gateway."""
        request = urllib.request.Request(
            self.environment["STOREPLANE_ADDRESS"] + path, data=body, method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
