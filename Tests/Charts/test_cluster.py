"""The charts on a real API server.

Runs where STOREPLANE_TEST_KUBECONFIG names the kubeconfig of a cluster for tests, such as that of
`scripts/cluster up`; makes a namespace a test and removes it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid

import pytest
from helm_python import Config, HelmError

from examples import EVERYTHING, STORE
from rendering import PLATFORM_CHART, STORE_CHART, merged, values_file

KUBECONFIG = os.environ.get("STOREPLANE_TEST_KUBECONFIG")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="STOREPLANE_TEST_KUBECONFIG is not set")

READY_SECONDS_MAX = 180
SCRAPED_BY_NOBODY = {"httpRoute": {"enabled": False}, "metrics": {"enabled": False}}


def kubectl(*arguments: str, given: str | None = None) -> str:
    command = ["kubectl", "--kubeconfig", KUBECONFIG, "--request-timeout=60s", *arguments]
    return subprocess.run(
        command, check=True, input=given, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.fixture
def namespace():
    name = f"chart-test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def credentials(namespace: str) -> dict[str, str]:
    return json.loads(
        kubectl("get", "secret", "store-credentials", "-n", namespace, "-o", "jsonpath={.data}")
    )


def test_generated_credentials_outlive_upgrades_and_the_release(namespace):
    values = merged(STORE, {"existingSecret": ""})
    with Config(kubeconfig_path=KUBECONFIG, namespace=namespace) as helm:
        helm.install(STORE_CHART, "store", values, namespace=namespace)
        first = credentials(namespace)
        assert len(first) == 12
        helm.upgrade(STORE_CHART, "store", values, namespace=namespace)
        assert credentials(namespace) == first
        helm.uninstall("store")
        assert credentials(namespace) == first
        helm.install(STORE_CHART, "store", values, namespace=namespace)
        assert credentials(namespace) == first


def test_the_delete_policy_leaves_nothing(namespace):
    values = merged(STORE, EVERYTHING, SCRAPED_BY_NOBODY)
    values = merged(values, {"existingSecret": "", "dataPolicy": "delete"})
    with Config(kubeconfig_path=KUBECONFIG, namespace=namespace) as helm:
        helm.install(STORE_CHART, "store", values, namespace=namespace)
        helm.uninstall("store")
    label = "app.kubernetes.io/instance=store"
    kinds = "secrets,persistentvolumeclaims,deployments,statefulsets,services,networkpolicies"
    left = kubectl("get", kinds, "-n", namespace, "-l", label, "-o", "json")
    assert [
        each for each in json.loads(left)["items"] if "deletionTimestamp" not in each["metadata"]
    ] == []


def test_the_provisioners_rights_suffice_for_a_store_and_the_others_have_none(namespace):
    values = merged(STORE, EVERYTHING, SCRAPED_BY_NOBODY, {"existingSecret": ""})
    with Config(kubeconfig_path=KUBECONFIG, namespace=namespace) as helm:
        helm.install(PLATFORM_CHART, "storeplane", {}, namespace=namespace)
        try:
            with acting_as("provisioner", namespace) as provisioner:
                provisioner.install(STORE_CHART, "store", values, namespace=namespace)
                provisioner.upgrade(STORE_CHART, "store", values, namespace=namespace)
                provisioner.uninstall("store")
            for name in ("gateway", "config", "audit"):
                with acting_as(name, namespace) as other, pytest.raises(
                    HelmError, match="forbidden"
                ):
                    other.install(STORE_CHART, "store", values, namespace=namespace)
        finally:
            helm.uninstall("storeplane")


def acting_as(service: str, namespace: str) -> Config:
    return Config(
        kubeconfig_path=KUBECONFIG,
        namespace=namespace,
        kube_as_user=f"system:serviceaccount:{namespace}:{service}",
        kube_as_groups=["system:serviceaccounts", "system:authenticated"],
    )


def has_node() -> bool:
    path = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
    return "True" in kubectl("get", "nodes", "-o", path)


class LiveStore:
    """A store that runs on the local images, without its set-up."""

    def __init__(self, namespace: str):
        self.namespace = namespace

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return kubectl("-n", self.namespace, *arguments, given=given)

    def php(self, program: str) -> str:
        """What a PHP program, given on standard input, prints in the wordpress container."""
        command = ("exec", "-i", "deployment/wordpress", "-c", "wordpress", "--", "php")
        return self.kubectl(*command, given="<?php " + program)

    def status(self, path: str) -> str:
        """Status of a request that the wordpress container makes to itself."""
        return self.php(
            f"""
            $options = ['http' => ['follow_location' => 0, 'ignore_errors' => true]];
            $context = stream_context_create($options);
            file_get_contents('http://127.0.0.1:8080{path}', false, $context);
            echo explode(' ', $http_response_header[0])[1];
            """
        )

    def replace_pod(self, name: str) -> None:
        self.kubectl("delete", "pod", "-l", f"app.kubernetes.io/name={name}")
        self.wait()

    def wait(self) -> None:
        for workload in ("statefulset/mariadb", "deployment/wordpress"):
            self.kubectl("rollout", "status", workload, f"--timeout={READY_SECONDS_MAX}s")

    def restarts(self) -> dict[str, int]:
        running = ("--field-selector", "status.phase=Running")
        pods = json.loads(self.kubectl("get", "pods", *running, "-o", "json"))["items"]
        return {
            status["name"]: status["restartCount"]
            for pod in pods
            for status in pod["status"]["containerStatuses"]
        }


@pytest.fixture(scope="module")
def live_store():
    if not has_node():
        pytest.skip("the cluster has no node")
    namespace = f"chart-test-{uuid.uuid4().hex[:8]}"
    values = merged(
        values_file(STORE_CHART / "values-local.yaml"),
        {
            "store": {"id": namespace, "name": "Tea", "host": f"{namespace}.localhost"},
            "wpCron": {"enabled": True, "schedule": "0 0 29 2 *"},
        },
    )
    with Config(kubeconfig_path=KUBECONFIG, namespace=namespace) as helm:
        try:
            helm.install(
                STORE_CHART,
                "store",
                values,
                namespace=namespace,
                create_namespace=True,
                wait="watcher",
                timeout=READY_SECONDS_MAX,
            )
            yield LiveStore(namespace)
        finally:
            kubectl("delete", "namespace", namespace, "--wait=false")


INSTALL = """
define('WP_INSTALLING', true);
require '/var/www/html/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Tea & Cups', 'admin', 'admin@example.com', true, '', bin2hex(random_bytes(16)));
$wp_rewrite->set_permalink_structure('/%postname%/');
flush_rewrite_rules();
"""


def test_a_store_is_ready_before_it_is_installed_and_nothing_crashed(live_store):
    assert live_store.restarts() == {"mariadb": 0, "wordpress": 0}
    assert live_store.status("/storeplane-health.php") == "200"
    assert live_store.status("/storeplane-health.php?live") == "200"
    assert live_store.status("/") == "302", "WordPress leads to its installation"


def test_the_core_is_read_only_and_the_content_is_not(live_store):
    written = live_store.php(
        """
        foreach (['index.php', 'x.php', 'wp-includes/x.php', 'wp-config.php', '.htaccess'] as $name)
            echo (int) is_writable(dirname("/var/www/html/$name"));
        echo (int) is_writable('/var/www/html/wp-config.php');
        foreach (['wp-content', 'wp-content/plugins', 'wp-content/themes'] as $name)
            echo (int) is_writable("/var/www/html/$name");
        """
    )
    assert written == "000000" + "111"


def test_an_installed_store_outlives_its_pods(live_store):
    live_store.php(INSTALL)
    upload = "/var/www/html/wp-content/uploads/tea.txt"
    live_store.php(
        f"""
        mkdir(dirname('{upload}'));
        file_put_contents('{upload}', 'tea');
        file_put_contents('{upload}.php', '<?php echo 1;');
        """
    )
    key = live_store.php("require '/var/www/html/wp-load.php'; echo sha1(AUTH_KEY);")
    for pod in ("mariadb", "wordpress"):
        live_store.replace_pod(pod)
        assert live_store.restarts() == {"mariadb": 0, "wordpress": 0}
        assert live_store.status("/storeplane-health.php") == "200"
        assert live_store.status("/wp-login.php") == "200"
        assert live_store.status("/wp-json/") == "200", "permalinks work without writing .htaccess"
        assert live_store.status("/wp-content/uploads/tea.txt") == "200"
        assert live_store.status("/wp-content/uploads/tea.txt.php") == "403"
    same = live_store.php("require '/var/www/html/wp-load.php'; echo sha1(AUTH_KEY);")
    assert same == key, "sessions outlive the pod"


def test_what_a_restore_left_is_served_to_nobody_and_goes(live_store):
    folder = "/var/www/html/wp-content/.storeplane-restore"
    live_store.php(
        f"""
        mkdir('{folder}/files/uploads', 0777, true);
        file_put_contents('{folder}/files/tea.txt', 'tea');
        file_put_contents('{folder}/files/uploads/tea.php', '<?php echo 1;');
        $open = "Satisfy Any\\nRequire all granted\\n<Files *>\\nRequire all granted\\n</Files>\\n";
        file_put_contents('{folder}/files/.htaccess', $open);
        """
    )
    for path in ("files/tea.txt", "files/uploads/tea.php", "files/none", ""):
        for name in ("/.storeplane-restore", "//.storeplane-restore", "/%2Estoreplane-restore"):
            assert live_store.status(f"/wp-content{name}/{path}") == "403", path
    live_store.replace_pod("wordpress")
    assert live_store.php(f"echo (int) file_exists('{folder}');") == "0"


def test_scheduled_work_runs_from_the_cron_job(live_store):
    cron = json.loads(live_store.kubectl("get", "cronjob/wp-cron", "-o", "json"))
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "now"},
        "spec": cron["spec"]["jobTemplate"]["spec"],
    }
    live_store.kubectl("create", "-f", "-", given=json.dumps(job))
    complete = ("--for=condition=Complete", f"--timeout={READY_SECONDS_MAX}s")
    live_store.kubectl("wait", "job/now", *complete)


def test_no_password_is_in_an_environment(live_store):
    secret = json.loads(live_store.kubectl("get", "secret", "store-credentials", "-o", "json"))
    values = [base64.b64decode(each).decode() for each in secret["data"].values()]
    passwords = [each for each in values if len(each) == 40]
    assert len(passwords) == 11
    for workload in ("deployment/wordpress", "statefulset/mariadb"):
        command = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
        seen = live_store.kubectl("exec", workload, "--", "sh", "-c", command)
        assert "WORDPRESS_DB_HOST" in seen or "mariadbd" in seen
        assert not [each for each in passwords if each in seen]


def test_without_its_database_a_store_is_unready_and_not_restarted(live_store):
    live_store.kubectl("scale", "statefulset/mariadb", "--replicas=0")
    try:
        live_store.kubectl(
            *("wait", "--for=condition=Ready=false", "pod"),
            *("-l", "app.kubernetes.io/name=wordpress", "--timeout=60s"),
        )
        assert live_store.status("/storeplane-health.php") == "503"
        assert live_store.status("/storeplane-health.php?live") == "200"
    finally:
        live_store.kubectl("scale", "statefulset/mariadb", "--replicas=1")
    live_store.wait()
    assert live_store.restarts() == {"mariadb": 0, "wordpress": 0}
