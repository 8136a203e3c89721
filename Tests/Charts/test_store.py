"""The store chart's objects, whatever the values."""

from __future__ import annotations

import itertools
import json
import re

import pytest
import yaml
from helm_python import Chart, Config, HelmError, _native, lint, package

import common
from examples import EVERYTHING, MEDUSA, MEDUSA_EVERYTHING, POD_SETTINGS, STORE
from rendering import (
    CURRENT_KUBERNETES,
    OLDEST_KUBERNETES,
    STORE_CHART,
    merged,
    render,
    values_file,
)

VARIANTS = {
    "defaults": {},
    "everything": EVERYTHING,
    "local": values_file(STORE_CHART / "values-local.yaml"),
    "vps": values_file(STORE_CHART / "values-vps.yaml"),
    "environment": {"credentials": {"delivery": "env"}},
    "suspended": merged(EVERYTHING, {"suspended": True}),
    "no volumes": {
        "wordpress": {"persistence": {"enabled": False}},
        "mariadb": {"persistence": {"enabled": False}},
    },
    "external database": {
        "mariadb": {"enabled": False},
        "externalDatabase": {
            "host": "db.example.com",
            "peers": [{"ipBlock": {"cidr": "203.0.113.7/32"}}],
        },
    },
    "medusa": MEDUSA,
    "medusa suspended": merged(MEDUSA_EVERYTHING, {"suspended": True}),
    "medusa everything": MEDUSA_EVERYTHING,
    "medusa local": merged(values_file(STORE_CHART / "values-local.yaml"), {"engine": "medusa"}),
    "medusa vps": merged(values_file(STORE_CHART / "values-vps.yaml"), MEDUSA),
    "medusa environment": {**MEDUSA, "credentials": {"delivery": "env"}},
    "medusa no volumes": {
        **MEDUSA,
        "postgres": {"persistence": {"enabled": False}},
        "redis": {"persistence": {"enabled": False}},
    },
}


@pytest.fixture(
    params=itertools.product(VARIANTS, (OLDEST_KUBERNETES, CURRENT_KUBERNETES)),
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def variant(request, store):
    name, kubernetes = request.param
    return store(VARIANTS[name], kubernetes=kubernetes)


def test_every_variant_keeps_the_rules(variant):
    common.assert_restricted(variant)
    common.assert_ports_name_protocols(variant)
    common.assert_volatile_labels_stay_out(variant)
    common.assert_mounts_have_volumes(variant)
    common.assert_services_reach_pods(variant)


def test_no_pod_has_a_token(variant):
    for name, template in variant.pod_templates():
        assert template["spec"]["automountServiceAccountToken"] is False, name
        assert template["spec"]["serviceAccountName"] == "store", name
    for account in variant.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_every_variant_lints():
    for name, values in VARIANTS.items():
        report = lint(STORE_CHART, merged(STORE, values), strict=True)
        assert not [each for each in report["messages"] if each["severity"] > 1], name
        assert not report["errors"], name


@pytest.mark.parametrize("values", [EVERYTHING, MEDUSA_EVERYTHING])
def test_names_do_not_depend_on_the_release(store, values):
    def identities(release):
        rendered = store(values, release=release)
        return [
            (each["kind"], each["metadata"]["name"], each.get("spec", {}).get("selector"))
            for each in rendered.objects
        ]

    assert identities("store") == identities("another-release-of-a-long-name")


def test_the_workloads_have_the_names_that_the_set_up_knows(store):
    rendered = store()
    rendered.one("Deployment", "wordpress")
    rendered.one("StatefulSet", "mariadb")
    rendered.one("Service", "wordpress")
    rendered.one("Service", "mariadb")
    rendered.one("Ingress", "store")


@pytest.mark.parametrize("values", [EVERYTHING, MEDUSA_EVERYTHING])
def test_a_new_chart_version_leaves_pods_and_selectors_alone(tmp_path, values):
    with Chart.load(STORE_CHART) as chart:
        copy = tmp_path / "ecommerce-store"
        chart.save_dir(tmp_path)
    metadata = copy / "Chart.yaml"
    metadata.write_text(metadata.read_text().replace("version: 0.1.0", "version: 9.9.9"))
    values = merged(STORE, values)
    old, new = render(STORE_CHART, values), render(copy, values)
    assert list(old.pod_templates()) == list(new.pod_templates())
    labels = new.all("Deployment")[0]["metadata"]["labels"]
    assert labels["helm.sh/chart"] == "ecommerce-store-9.9.9"


@pytest.mark.parametrize(
    "kubernetes, expected",
    [
        (OLDEST_KUBERNETES, ("policy/v1beta1", "batch/v1beta1", "autoscaling/v2beta2")),
        ("v1.21.0", ("policy/v1", "batch/v1", "autoscaling/v2beta2")),
        ("v1.22.17+k3s1", ("policy/v1", "batch/v1", "autoscaling/v2beta2")),
        ("v1.23.0", ("policy/v1", "batch/v1", "autoscaling/v2")),
        ("v1.30.4-gke.100", ("policy/v1", "batch/v1", "autoscaling/v2")),
        (CURRENT_KUBERNETES, ("policy/v1", "batch/v1", "autoscaling/v2")),
    ],
)
def test_api_versions_follow_the_cluster(store, everything, kubernetes, expected):
    rendered = store(everything, kubernetes=kubernetes)
    kinds = ("PodDisruptionBudget", "CronJob", "HorizontalPodAutoscaler")
    assert tuple(rendered.all(kind)[0]["apiVersion"] for kind in kinds) == expected
    assert rendered.one("Ingress", "store")["apiVersion"] == "networking.k8s.io/v1"


def test_a_kubernetes_too_old_is_refused():
    """By an install; a render alone does not ask."""
    options = json.dumps({"dry_run": "client", "kube_version": "v1.19.9"})
    with (
        Chart.load(STORE_CHART) as chart,
        Config(kubeconfig_content="apiVersion: v1\nkind: Config\n") as config,
        pytest.raises(HelmError, match=r"kubeVersion: >=1\.20\.0-0"),
    ):
        no_context = _native.HANDLE(0)
        _native.call_string(
            "helm_install", config._raw(), no_context, chart._raw(), None, "store", None, options
        )


def test_nothing_optional_is_on_by_default(store):
    kinds = {each["kind"] for each in store().objects}
    assert kinds == {
        "ConfigMap", "Deployment", "Ingress", "LimitRange", "NetworkPolicy",
        "PersistentVolumeClaim", "ResourceQuota", "Service", "ServiceAccount", "StatefulSet",
    }  # fmt: skip


def test_every_image_can_be_overridden(store, everything):
    image = {
        "registry": "mirror.local:5000",
        "repository": "x/y",
        "tag": "1",
        "pullPolicy": "Never",
    }
    overrides = {
        "wordpress": {"image": image},
        "mariadb": {"image": image},
        "metrics": {"image": image},
        "imagePullSecrets": [{"name": "pull"}],
    }
    rendered = store(merged(everything, overrides))
    for name, template in rendered.pod_templates():
        assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}], name
        for each in common.containers(template):
            assert each["image"] == "mirror.local:5000/x/y:1", name
            assert each["imagePullPolicy"] == "Never", name
    digest = "sha256:" + "a" * 64
    pinned = store({"mariadb": {"image": {"digest": digest}}})
    main = common.container(pinned, "StatefulSet", "mariadb")
    assert main["image"] == f"docker.io/library/mariadb@{digest}"


def test_apache_listens_where_the_container_port_says(store):
    rendered = store({"wordpress": {"containerPort": 9000}})
    config = rendered.one("ConfigMap", "wordpress")["data"]
    assert "Listen 9000\n" in config["ports.conf"]
    assert "<VirtualHost *:9000>" in config["site.conf"]
    main = common.container(rendered, "Deployment", "wordpress")
    assert main["ports"][0]["containerPort"] == 9000
    own = store({"wordpress": {"containerPort": 9000, "apache": {"manageConfig": False}}})
    assert "ports.conf" not in own.one("ConfigMap", "wordpress")["data"]
    main = common.container(own, "Deployment", "wordpress")
    assert common.environment(main)["APACHE_PORT"] == "9000"
    assert not [each for each in main["volumeMounts"] if "/etc/apache2" in each["mountPath"]]


def test_probes_do_not_depend_on_the_shop(store):
    main = common.container(store(), "Deployment", "wordpress")
    paths = {
        kind: main[kind]["httpGet"]["path"]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {
        "startupProbe": "/storeplane-health.php?live",
        "readinessProbe": "/storeplane-health.php",
        "livenessProbe": "/storeplane-health.php?live",
    }
    own = {"tcpSocket": {"port": "http"}}
    main = common.container(
        store({"wordpress": {"probes": {"readiness": own}}}), "Deployment", "wordpress"
    )
    assert main["readinessProbe"] == own


def test_the_set_up_finds_what_to_install(store):
    plugins = [
        {"slug": "redirection", "source": "https://plugins.example.com/redirection.zip"},
        {"slug": "quiet", "source": "file:///opt/plugins/quiet.zip", "activate": False},
    ]
    rendered = store(
        {
            "wordpress": {"plugins": plugins},
            "woocommerce": {"pluginSource": "http://plugins.local/woocommerce.zip"},
        }
    )
    setup = json.loads(rendered.one("ConfigMap", "store-setup")["data"]["setup.json"])
    assert setup == {
        "engine": "woocommerce",
        "storeId": "0198c1d2",
        "title": "Tea & Cups",
        "url": "http://tea.example.com",
        "rootPath": "/var/www/html",
        "plugins": [
            {
                "slug": "woocommerce",
                "source": "http://plugins.local/woocommerce.zip",
                "activate": True,
            },
            {**plugins[0], "activate": True},
            plugins[1],
        ],
    }


def test_what_is_being_restored_is_served_to_nobody(store):
    site = store().one("ConfigMap", "wordpress")["data"]["site.conf"]
    # Of the virtual host's own, which goes before what an .htaccess says.
    rules = re.split("<Directory ", site)[0].split("<VirtualHost ")[1]
    assert "\n  RewriteEngine On\n" in rules
    denied = re.findall(r'RewriteRule "(.+)" - \[F\]', rules)
    assert len(denied) == 1
    for path in ("/wp-content/.storeplane-restore/files/a.php", "/x//.storeplane-unfinished"):
        assert re.search(denied[0], path)
    for path in ("/", "/storeplane-health.php", "/wp-content/uploads/storeplane-1.png"):
        assert not re.search(denied[0], path)


def test_a_change_of_configuration_restarts_the_pods_it_concerns(store):
    def checksums(values):
        return {
            name: template["metadata"]["annotations"]["storeplane.dev/config-checksum"]
            for name, template in store(values).pod_templates()
        }

    before = checksums({})
    php = checksums({"wordpress": {"php": {"ini": {"memory_limit": "300M"}}}})
    assert php["Deployment/wordpress"] != before["Deployment/wordpress"]
    assert php["StatefulSet/mariadb"] == before["StatefulSet/mariadb"]
    database = checksums({"mariadb": {"configuration": {"max-connections": "50"}}})
    assert database["StatefulSet/mariadb"] != before["StatefulSet/mariadb"]
    assert checksums({"woocommerce": {"pluginSource": "https://a.example/b.zip"}}) == before


def test_settings_reach_the_pods(store):
    rendered = store({"wordpress": POD_SETTINGS, "mariadb": POD_SETTINGS})
    for kind, name in (("Deployment", "wordpress"), ("StatefulSet", "mariadb")):
        template = rendered.one(kind, name)["spec"]["template"]
        spec = template["spec"]
        main = common.container(rendered, kind, name)
        for key in (
            "nodeSelector",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "priorityClassName",
            "terminationGracePeriodSeconds",
        ):
            assert spec[key] == POD_SETTINGS[key]
        assert common.environment(main)["EXTRA"] == "1"
        assert main["envFrom"] == POD_SETTINGS["extraEnvFrom"]
        assert POD_SETTINGS["extraVolumes"][0] in spec["volumes"]
        assert POD_SETTINGS["extraVolumeMounts"][0] in main["volumeMounts"]
        assert POD_SETTINGS["sidecars"][0] in spec["containers"]
        assert POD_SETTINGS["initContainers"][0] == spec["initContainers"][-1]
        assert template["metadata"]["labels"]["team"] == "tea"
        assert template["metadata"]["annotations"]["note"] == "x"


def test_pods_end_soon(store):
    for name, template in store().pod_templates():
        assert template["spec"]["terminationGracePeriodSeconds"] <= 30, name


def test_the_quota_leaves_room_for_what_the_chart_runs(store):
    """Every pod at once, a second one of each Deployment for a rolling update, and a claim each."""
    for values in VARIANTS.values():
        rendered = store(values)
        hard = rendered.one("ResourceQuota", "store")["spec"]["hard"]
        templates = [template for _, template in rendered.pod_templates()]
        templates += [each["spec"]["template"] for each in rendered.all("Deployment")]
        containers = [each for template in templates for each in template["spec"]["containers"]]
        assert len(templates) <= int(hard["pods"])
        for side in ("requests", "limits"):
            for resource in ("cpu", "memory"):
                total = sum(amount(each["resources"][side][resource]) for each in containers)
                assert total <= amount(hard[f"{side}.{resource}"]), (side, resource)
        claims = rendered.all("PersistentVolumeClaim")
        storage = [each["spec"]["resources"]["requests"]["storage"] for each in claims]
        assert sum(map(amount, storage)) <= amount(hard["requests.storage"])
        assert len(claims) <= int(hard["persistentvolumeclaims"])
        largest = rendered.one("LimitRange", "store")["spec"]["limits"][0]["max"]
        for each in containers:
            for resource in ("cpu", "memory"):
                assert amount(each["resources"]["limits"][resource]) <= amount(largest[resource])


def amount(quantity: str) -> float:
    for suffix, factor in {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}.items():
        if quantity.endswith(suffix):
            return float(quantity.removesuffix(suffix)) * factor
    return float(quantity)


def test_the_role_reads_and_sees_no_secrets(store):
    rendered = store({"rbac": {"create": True}})
    for rule in rendered.one("Role", "store")["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert not {"secrets", "pods/exec", "*"} & set(rule["resources"])
    binding = rendered.one("RoleBinding", "store")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "store", "namespace": "store-a"}
    ]


def test_local_values_name_the_local_images_volumes_and_ingress(store):
    rendered = store(VARIANTS["local"])
    assert common.container(rendered, "Deployment", "wordpress")["image"] == (
        "localhost/storeplane/wordpress:6.1"
    )
    assert common.container(rendered, "StatefulSet", "mariadb")["image"] == (
        "localhost/storeplane/mariadb:10.11"
    )
    assert {each["spec"]["storageClassName"] for each in rendered.all("PersistentVolumeClaim")} == {
        "local-path"
    }
    assert rendered.one("Ingress", "store")["spec"]["ingressClassName"] == "storeplane"


def test_vps_values_give_https_by_cert_manager(store):
    rendered = store(VARIANTS["vps"])
    ingress = rendered.one("Ingress", "store")
    assert ingress["spec"]["ingressClassName"] == "traefik"
    assert ingress["spec"]["tls"] == [{"secretName": "store-tls", "hosts": ["tea.example.com"]}]
    assert ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
    extra = common.environment(common.container(rendered, "Deployment", "wordpress"))
    assert "define('WP_HOME', 'https://tea.example.com');" in extra["WORDPRESS_CONFIG_EXTRA"]


def test_the_package_fits_into_a_release(tmp_path):
    archive = package(STORE_CHART, destination=tmp_path)
    size = len(open(archive, "rb").read())
    assert size < 64 * 1024, "a release holds the chart, and must stay under 1 MiB"


def test_the_notes_say_what_to_do(store):
    assert "wordpress-admin-password" in store({"existingSecret": ""}).notes
    assert "kubernetes.io/metadata.name" in store(kubernetes=OLDEST_KUBERNETES).notes
    assert "kubernetes.io/metadata.name" not in store().notes


def test_the_defaults_are_in_the_schema():
    """No value lacks a description of what it may be."""
    schema = json.loads((STORE_CHART / "values.schema.json").read_text())

    def walk(values, node, path):
        while "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if isinstance(values, dict) and "properties" in node:
            assert set(values) <= set(node["properties"]), path
            for key, value in values.items():
                walk(value, node["properties"][key], f"{path}.{key}")

    walk(yaml.safe_load((STORE_CHART / "values.yaml").read_text()), schema, "values")
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("values", [EVERYTHING, MEDUSA_EVERYTHING], ids=["woocommerce", "medusa"])
def test_nothing_of_a_suspended_store_runs(store, values):
    rendered, running = store(merged(values, {"suspended": True})), store(values)
    workloads = rendered.all("Deployment") + rendered.all("StatefulSet")
    assert len(workloads) >= 2
    for workload in workloads:
        assert workload["spec"]["replicas"] == 0, workload["metadata"]["name"]
    for job in rendered.all("CronJob"):
        assert job["spec"]["suspend"] is True
    assert not rendered.all("HorizontalPodAutoscaler")
    # What it has stays, and so does what its pods are made from: they come back as they were.
    for kind in ("PersistentVolumeClaim", "Service", "Ingress", "Secret"):
        assert rendered.all(kind) == running.all(kind), kind
    assert list(rendered.pod_templates()) == list(running.pod_templates())
    for job in running.all("CronJob"):
        assert job["spec"]["suspend"] is False
