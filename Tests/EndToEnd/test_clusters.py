"""The same API server registered as a second cluster, for users with rights of their own."""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path

import pytest
import yaml

from installation import STORE_SECONDS_MAX, CommandFailed, proxy_before

ROOT = Path(__file__).resolve().parents[2]


def chart_rules() -> list[dict]:
    """What the chart of the platform grants the provisioner."""
    text = (ROOT / "helm/storeplane/templates/provisioner-rbac.yaml").read_text()
    return yaml.safe_load(text[text.index("\nrules:\n") : text.index("\n---\n")])["rules"]


@pytest.fixture(scope="module")
def account(kubectl, kubeconfig):
    """Makes users of the cluster, each with its kubeconfig."""
    namespace = "clusters-test"
    kubectl("create", "namespace", namespace)
    made = []

    def make(name: str, rules: list[dict]) -> tuple[str, str]:
        role = f"{namespace}-{name}"
        made.append(role)
        group = "rbac.authorization.k8s.io"
        documents = [
            {"apiVersion": "v1", "kind": "ServiceAccount",
             "metadata": {"name": name, "namespace": namespace}},
            {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": role},
             "rules": rules},
            {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role},
             "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
             "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]},
        ]
        kubectl("apply", "-f", "-", given=yaml.safe_dump_all(documents))
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = kubectl("create", "--raw", path, "-f", "-", given=json.dumps(request))
        token = json.loads(answer)["status"]["token"]
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        if "certificate-authority" in cluster:
            authority = Path(cluster.pop("certificate-authority")).read_bytes()
            cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
        config["users"][0]["user"] = {"token": token}
        return yaml.safe_dump(config), token

    yield make
    for role in made:
        kubectl("delete", "clusterrolebinding,clusterrole", role)
    kubectl("delete", "namespace", namespace, "--wait=false")


def metric(installation, name: str) -> str:
    address = installation.settings("provisioner")["ADMIN_ADDRESS"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next((line.rpartition(" ")[2] for line in lines if line.startswith(name + " ")), "")


def test_the_own_cluster_is_registered_and_checked(installation):
    def checked():
        own = installation.ask("clusters", "describe", "default")
        return own if own.get("checkTime") else None

    own = installation.wait_for(checked, "the checks of the own cluster")
    outcomes = {each["check"]: each["outcome"] for each in own["findings"]}
    assert own["ready"] and not [each for each in outcomes.values() if each == "OUTCOME_FAILED"]
    assert outcomes["network-policy"] == "OUTCOME_WARNING"


def test_too_few_rights_are_refused_and_named(installation, account):
    kubeconfig, token = account(
        "little", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    )
    with pytest.raises(CommandFailed) as refused:
        installation.storectl("clusters", "register", "little", given=kubeconfig)
    assert refused.value.status == 5
    assert "secrets: get, list, watch, create" in refused.value.errors
    assert token not in refused.value.errors
    names = [each["name"] for each in installation.ask("clusters", "list")["clusters"]]
    assert names == ["default"]


def test_a_store_lives_on_the_second_cluster(
    installation, account, api_proxy, kubectl, remains
):
    kubeconfig, token = account("full", chart_rules())
    installation.storectl(
        "clusters", "register", "second", "--label", "tier=gold", "--stores-max", "1",
        given=kubeconfig,
    )
    try:
        # The own cluster cannot be reached; that is nothing to the other one.
        api_proxy.interrupt()
        try:
            installation.storectl(
                "stores", "create", "--name", "gold", "--engine", "woocommerce",
                "--cluster-label", "tier=gold", "--wait", seconds=STORE_SECONDS_MAX,
            )
        finally:
            api_proxy.restore()
        store = installation.store("gold")
        assert store["cluster"] == "second"
        assert "Active" in kubectl("get", "namespace", store["namespace"])
        with pytest.raises(CommandFailed) as full:
            installation.create("more", "--cluster", "second")
        assert full.value.status == 7 and "as many stores as it may" in full.value.errors

        # The kubeconfig is in the config service and nowhere else.
        dump = installation.postgres("in_database", "storeplane", "pg_dump", "--data-only")
        events = json.dumps(installation.ask("events", "--limit", "1000"))
        for place in (dump, events, installation.logs()):
            assert token not in place
        assert '"cluster.register"' in events

        with pytest.raises(CommandFailed) as drained:
            installation.storectl("clusters", "drain", "second")
        assert drained.value.status == 1 and "gold" in drained.value.output
        with pytest.raises(CommandFailed) as upgrade:
            installation.storectl("stores", "upgrade", "gold")
        assert "being emptied" in upgrade.value.errors
        installation.delete("gold")
        assert not remains(store["namespace"])
        installation.storectl("clusters", "drain", "second")
        assert metric(installation, 'provisioner_cluster_schedule{cluster="second"}') == "2"
    finally:
        installation.storectl("clusters", "remove", "second", "--yes")
    secrets = installation.query("SELECT name FROM config.secrets WHERE tenant = '~platform'")
    assert secrets == []


def test_a_lost_cluster_is_given_up_with_its_stores(installation, account, kubeconfig, kubectl):
    proxy = proxy_before(kubeconfig)
    config = yaml.safe_load(account("lost", chart_rules())[0])
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    installation.storectl("clusters", "register", "lost", given=yaml.safe_dump(config))
    for name, cluster in (("stays", "default"), ("goes", "lost")):
        installation.storectl(
            "stores", "create", "--name", name, "--engine", "woocommerce", "--cluster", cluster,
            "--wait", seconds=STORE_SECONDS_MAX,
        )
    stays, goes = installation.store("stays"), installation.store("goes")
    assert goes["cluster"] == "lost"

    def with_credentials():
        rows = installation.query("SELECT DISTINCT store FROM config.store_credentials")
        return {each["store"] for each in rows} & {stays["id"], goes["id"]}

    def clusters():
        return [each["name"] for each in installation.ask("clusters", "list")["clusters"]]

    def told_of_lost():
        events = installation.ask("events", "--limit", "1000")
        events = events["events"] if isinstance(events, dict) else events
        about = [each for each in events if each.get("details", {}).get("cluster") == "lost"]
        return {each["action"] for each in about}

    assert with_credentials() == {stays["id"], goes["id"]}
    try:
        # For good.
        proxy.interrupt()
        abandonment = ("clusters", "remove", "lost", "--abandon-stores")
        with pytest.raises(CommandFailed) as early:
            installation.storectl(*abandonment, "--confirm", "lost")
        assert "drain" in early.value.errors
        with pytest.raises(CommandFailed) as drained:
            installation.storectl("clusters", "drain", "lost")
        assert drained.value.status == 1 and "goes" in drained.value.output
        for confirmation, status in (((), 2), (("--confirm", "default"), 1)):
            with pytest.raises(CommandFailed) as unsure:
                installation.storectl(*abandonment, *confirmation)
            assert unsure.value.status == status
        assert installation.store("goes")["state"] == "STATE_READY"

        told = installation.storectl(*abandonment, "--confirm", "lost")
        assert "given up with 1 store" in told
        installation.wait_for(lambda: clusters() == ["default"], "the cluster to be forgotten")
        installation.wait_for(
            lambda: installation.transitions(goes["id"])[-2:]
            == [("ready", "deleting"), ("deleting", "deleted")],
            "the last event to arrive",
        )
        assert with_credentials() == {stays["id"]}
        secrets = installation.query("SELECT name FROM config.secrets WHERE tenant = '~platform'")
        assert secrets == []
        installation.wait_for(
            lambda: {"cluster.register", "cluster.abandon", "cluster.unregister"} <= told_of_lost(),
            "the events of the cluster to arrive",
        )
        # Nobody asked the cluster: what is there is for whoever finds it again.
        assert "Active" in kubectl("get", "namespace", goes["namespace"])
        after = installation.store("stays")
        assert (after["state"], after["operation"]) == ("STATE_READY", stays["operation"])
        assert "Active" in kubectl("get", "namespace", stays["namespace"])
    finally:
        kubectl("delete", "namespace", goes["namespace"], "--wait=false")
        installation.delete("stays")
