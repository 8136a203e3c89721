"""What the end-to-end tests share: the cluster, the built binaries, the contracts for Python."""

import importlib.util
import os
import subprocess
import sys
import uuid
from pathlib import Path

import grpc_tools
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kubeconfig():
    path = os.environ.get("STOREPLANE_TEST_KUBECONFIG")
    if not path:
        pytest.fail("STOREPLANE_TEST_KUBECONFIG is not set; scripts/test cluster sets it")
    return path


@pytest.fixture(scope="session")
def kubectl(kubeconfig):
    def run(*arguments):
        command = ["kubectl", "--kubeconfig", kubeconfig, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


@pytest.fixture
def namespace(kubectl):
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def binaries():
    return ROOT / ".build" / "debug"


@pytest.fixture(scope="session")
def helm_library():
    import helm_python

    return Path(helm_python.__file__).parent / "lib" / "libhelm_c.so"


@pytest.fixture(scope="session")
def contracts(tmp_path_factory):
    """Python's classes of our contracts, made from proto/."""
    out = tmp_path_factory.mktemp("contracts")
    google = Path(importlib.util.find_spec("google.api").submodule_search_locations[0])
    standard = Path(grpc_tools.__file__).parent / "_proto"
    protos = [str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}",
         f"-I{google.parents[1]}", f"-I{standard}", f"--python_out={out}",
         f"--grpc_python_out={out}", *protos],
        check=True,
    )
    sys.path.insert(0, str(out))
    importlib.invalidate_caches()
    return out
