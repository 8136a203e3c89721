"""The Helm worker against a real API server; no pods are needed."""

import importlib
import json
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest
import yaml

CHART = str(Path(__file__).resolve().parents[2] / "helm" / "ecommerce-store")
VALUES = json.dumps(
    {"engine": "woocommerce", "store": {"id": "abc123", "name": "demo", "host": "demo.localhost"}}
).encode()


@pytest.fixture(scope="module")
def messages(contracts):
    return importlib.import_module("storeplane.helmworker.v1.helm_pb2")


@pytest.fixture
def process(binaries, helm_library, tmp_path):
    socket = tmp_path / "helm.sock"
    process = subprocess.Popen([binaries / "helm-worker", socket, helm_library])
    process.socket = socket
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def worker(process, contracts):
    services = importlib.import_module("storeplane.helmworker.v1.helm_pb2_grpc")
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{process.socket}", options=options) as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
        yield services.HelmServiceStub(channel)


@pytest.fixture
def release(messages, kubeconfig, namespace):
    return messages.ReleaseReference(
        kubeconfig_path=kubeconfig, namespace=namespace, name="store"
    )


def install(worker, messages, release, **fields):
    request = messages.InstallRequest(
        release=release, **{"chart_path": CHART, "values_json": VALUES, **fields}
    )
    return worker.Install(request, timeout=60)


def code_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def test_the_life_of_a_release(worker, messages, release, kubectl, namespace):
    made = install(worker, messages, release)
    assert (made.revision, made.status) == (1, messages.Release.STATUS_DEPLOYED)
    assert "wordpress" in kubectl("-n", namespace, "get", "deployments", "-o", "name")

    assert code_of(lambda: install(worker, messages, release)) is grpc.StatusCode.ALREADY_EXISTS

    upgrade = messages.UpgradeRequest(release=release, chart_path=CHART, values_json=VALUES)
    assert worker.Upgrade(upgrade, timeout=60).revision == 2
    assert worker.Rollback(messages.RollbackRequest(release=release), timeout=60).revision == 3
    current = worker.GetRelease(messages.GetReleaseRequest(release=release), timeout=10)
    assert current.revision == 3

    uninstall = messages.UninstallRequest(release=release)
    assert worker.Uninstall(uninstall, timeout=60).existed
    assert not worker.Uninstall(uninstall, timeout=60).existed
    get = messages.GetReleaseRequest(release=release)
    assert code_of(lambda: worker.GetRelease(get, timeout=10)) is grpc.StatusCode.NOT_FOUND


def test_an_upgrade_installs_what_is_not_there(worker, messages, release):
    upgrade = messages.UpgradeRequest(
        release=release, chart_path=CHART, values_json=VALUES, install=True
    )
    assert worker.Upgrade(upgrade, timeout=60).revision == 1


def test_bad_input_is_told_apart(worker, messages, release):
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(lambda: install(worker, messages, release, chart_path="/none")) is invalid
    assert code_of(lambda: install(worker, messages, release, values_json=b"{")) is invalid
    big = b'{"a":"' + b"x" * 1_100_000 + b'"}'
    assert code_of(lambda: install(worker, messages, release, values_json=big)) is invalid
    nameless = messages.ReleaseReference(namespace="default")
    assert code_of(lambda: install(worker, messages, nameless)) is invalid


def test_an_api_server_that_is_away_is_unavailable(worker, messages, release, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "x",
                "clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}],
                "users": [{"name": "x", "user": {}}],
                "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
            }
        )
    )
    release.kubeconfig_path = str(kubeconfig)
    code = code_of(lambda: install(worker, messages, release))
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def slow_release(release, kubeconfig, api_proxy, tmp_path):
    """Whose cluster takes its time for everything."""
    config = yaml.safe_load(Path(kubeconfig).read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{api_proxy.port}"
    proxied = tmp_path / "proxied"
    proxied.write_text(yaml.safe_dump(config))
    release.kubeconfig_path = str(proxied)
    with api_proxy.slowed(0.1):
        yield release


def test_what_is_said_to_be_over_is_over(worker, messages, slow_release, kubectl, namespace):
    """Helm goes on with an install that is cancelled: until its end it is under way."""
    request = messages.InstallRequest(
        release=slow_release, chart_path=CHART, values_json=VALUES
    )
    call = worker.Install.future(request, timeout=60)
    records = ("-n", namespace, "get", "secrets", "-l", "owner=helm", "-o", "name")
    while not kubectl(*records):
        time.sleep(0.05)
    call.cancel()
    assert code_of(lambda: worker.Install(request, timeout=60)) is grpc.StatusCode.ABORTED
    while worker.GetWorker(messages.GetWorkerRequest(), timeout=10).active_calls:
        time.sleep(0.05)
    current = worker.GetRelease(messages.GetReleaseRequest(release=slow_release), timeout=30)
    assert current.status == messages.Release.STATUS_DEPLOYED


def test_memory_stays_bounded_and_the_process_ends_when_told(worker, messages, release, process):
    upgrade = messages.UpgradeRequest(
        release=release, chart_path=CHART, values_json=VALUES, install=True
    )
    for _ in range(5):
        worker.Upgrade(upgrade, timeout=60)
    state = worker.GetWorker(messages.GetWorkerRequest(), timeout=10)
    assert state.calls == 5
    assert state.resident_bytes < 250 * 1024 * 1024
    process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert process.wait(timeout=15) == 0
    assert time.monotonic() - started < 10
