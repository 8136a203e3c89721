"""What the end-to-end tests share: the cluster, the built binaries, the contracts for Python."""

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import grpc_tools
import plugin_server
import pytest
import yaml

from installation import installed, proxy_before

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kubeconfig():
    path = os.environ.get("STOREPLANE_TEST_KUBECONFIG")
    if not path:
        pytest.fail("STOREPLANE_TEST_KUBECONFIG is not set; scripts/test cluster sets it")
    return path


@pytest.fixture(scope="session")
def kubectl(kubeconfig):
    def run(*arguments, given=None):
        command = ["kubectl", "--kubeconfig", kubeconfig, *arguments]
        done = subprocess.run(command, check=True, input=given, stdout=subprocess.PIPE, text=True)
        return done.stdout

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


@pytest.fixture(scope="session")
def api_proxy(kubeconfig):
    return proxy_before(kubeconfig)


@pytest.fixture(scope="session")
def plugin_source(kubectl):
    """WooCommerce itself cannot be had offline; a plugin of our own takes its way."""
    plugin_server.serve(kubectl)
    yield plugin_server.SOURCE
    plugin_server.stop(kubectl)


@pytest.fixture(scope="session")
def installation(kubeconfig, api_proxy, plugin_source):
    with installed(kubeconfig, api_proxy, plugin_source, port_base=18080) as installation:
        yield installation


@pytest.fixture
def chart_values(installation):
    """Merges further values into those the operator gives every store, until the test ends."""
    before = installation.values.read_text()

    def change(extra: dict):
        installation.values.write_text(yaml.safe_dump(merged(yaml.safe_load(before), extra)))

    yield change
    installation.values.write_text(before)


def merged(base, extra):
    if not isinstance(base, dict) or not isinstance(extra, dict):
        return extra
    return {**base, **{key: merged(base.get(key), value) for key, value in extra.items()}}


@pytest.fixture(scope="session")
def remains(kubectl):
    """What is left in the cluster of a store's namespace: itself, and its volumes."""

    def find(namespace):
        listed = kubectl("get", "namespaces,persistentvolumes", "-o", "json")
        return [
            each["metadata"]["name"]
            for each in json.loads(listed)["items"]
            if namespace
            in (each["metadata"]["name"], each["spec"].get("claimRef", {}).get("namespace"))
        ]

    return find
