"""The object store of the backups: in memory, by itself, as the provisioner's own tests have it."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.parse

import yaml

from installation import ROOT

PROGRAM = ROOT / "Tests/ProvisionerBackendTests/Peers/object_store.py"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


class BackupStore:
    def __init__(self, kubeconfig: str):
        """Where the pods of the cluster reach this machine."""
        with open(kubeconfig) as file:
            server = yaml.safe_load(file)["clusters"][0]["cluster"]["server"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((urllib.parse.urlsplit(server).hostname, 9))
            address = probe.getsockname()[0]
        self._process = subprocess.Popen(
            [sys.executable, PROGRAM, address, ACCESS_KEY, SECRET_KEY],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        port = self._process.stdout.readline().strip()
        # Of the provisioner.
        self.settings = {
            "BACKUP_S3_URL": f"http://{address}:{port}",
            "BACKUP_S3_BUCKET": "backups",
            "BACKUP_S3_ACCESS_KEY": ACCESS_KEY,
            "BACKUP_S3_SECRET_KEY": SECRET_KEY,
            # What is made follows from what is asked for.
            "BACKUP_INTERVAL": "0s",
            "BACKUP_TEST_INTERVAL": "0s",
        }

    def _ask(self, line: str) -> str:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def files(self) -> dict[str, int]:
        """The bytes of each, by key."""
        sizes = (each.rsplit("=", 1) for each in self._ask("sizes").split())
        return {key: int(bytes) for key, bytes in sizes}

    def refuse(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            self._ask(f"answer 503 SlowDown {method}")

    def serve(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            self._ask(f"answer 0 - {method}")

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=10)
