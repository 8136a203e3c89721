"""The control plane's chart."""

from __future__ import annotations

import itertools
import subprocess

import pytest
import yaml
from helm_python import HelmError, HelmValuesError, lint, package

import common
from policies import Endpoint, PolicySet
from rendering import (
    CURRENT_KUBERNETES,
    OLDEST_KUBERNETES,
    PLATFORM_CHART,
    STORE_CHART,
    Rendered,
    merged,
    render,
)

SERVICES = ("gateway", "provisioner", "config", "audit")

EVERYTHING = {
    "migrations": {"enabled": True},
    "ingress": {"enabled": True, "host": "api.example.com", "tls": {"enabled": True}},
    "serviceMonitor": {"enabled": True},
}


def platform(values=None, *, release="storeplane", kubernetes=CURRENT_KUBERNETES) -> Rendered:
    return render(
        PLATFORM_CHART,
        values,
        release=release,
        namespace="storeplane",
        kubernetes=kubernetes,
    )


def only(name):
    return {"services": {each: {"enabled": each == name} for each in SERVICES}}


@pytest.mark.parametrize("kubernetes", [OLDEST_KUBERNETES, CURRENT_KUBERNETES])
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_rules_are_kept(values, kubernetes):
    rendered = platform(values, kubernetes=kubernetes)
    common.assert_restricted(rendered)
    common.assert_ports_name_protocols(rendered)
    common.assert_volatile_labels_stay_out(rendered)
    common.assert_mounts_have_volumes(rendered)
    common.assert_services_reach_pods(rendered)
    expected = "policy/v1beta1" if kubernetes == OLDEST_KUBERNETES else "policy/v1"
    assert {each["apiVersion"] for each in rendered.all("PodDisruptionBudget")} == {expected}


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_chart_lints(values):
    report = lint(PLATFORM_CHART, values, strict=True)
    assert not [each for each in report["messages"] if each["severity"] > 1]
    assert not report["errors"]


def test_each_service_has_its_own_objects():
    rendered = platform()
    kinds = (
        "Deployment", "Service", "ServiceAccount", "ConfigMap", "NetworkPolicy",
        "PodDisruptionBudget",
    )  # fmt: skip
    for kind in kinds:
        assert {each["metadata"]["name"] for each in rendered.all(kind)} == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_deploys_alone(name):
    alone, together = platform(only(name), release="another"), platform()
    for kind in ("Deployment", "ConfigMap", "NetworkPolicy"):
        assert [each["metadata"]["name"] for each in alone.all(kind)] == [name]
        assert alone.one(kind, name).get("spec") == together.one(kind, name).get("spec")
    assert bool(alone.all("ClusterRoleBinding")) == (name == "provisioner")


def test_only_the_provisioner_has_rights_and_a_token():
    rendered = platform(EVERYTHING)
    bindings = rendered.all("ClusterRoleBinding") + rendered.all("RoleBinding")
    assert [each["subjects"] for each in bindings] == [
        [{"kind": "ServiceAccount", "name": "provisioner", "namespace": "storeplane"}]
    ]
    tokens = {
        name: template["spec"]["automountServiceAccountToken"]
        for name, template in rendered.pod_templates()
    }
    assert {name for name, mounted in tokens.items() if mounted} == {"Deployment/provisioner"}
    assert len(tokens) == 8
    for account in rendered.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for name in SERVICES:
        spec = rendered.one("Deployment", name)["spec"]["template"]["spec"]
        assert spec["serviceAccountName"] == name
    without = platform(merged(EVERYTHING, {"rbac": {"create": False}}))
    assert without.all("ClusterRole") + without.all("ClusterRoleBinding") == []


def granted(rules) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


PLURALS = {
    "ConfigMap": "configmaps", "CronJob": "cronjobs", "Deployment": "deployments",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers", "HTTPRoute": "httproutes",
    "Ingress": "ingresses", "LimitRange": "limitranges", "NetworkPolicy": "networkpolicies",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "PodDisruptionBudget": "poddisruptionbudgets", "ResourceQuota": "resourcequotas",
    "Role": "roles", "RoleBinding": "rolebindings", "Secret": "secrets", "Service": "services",
    "ServiceAccount": "serviceaccounts", "ServiceMonitor": "servicemonitors",
    "StatefulSet": "statefulsets",
}  # fmt: skip


def test_the_provisioner_may_do_what_the_store_chart_needs_and_has_no_wildcard(store, everything):
    role = platform().all("ClusterRole")[0]
    held = granted(role["rules"])
    assert not [each for each in held if "*" in each]
    assert not {verb for *_, verb in held} & {"escalate", "bind", "impersonate"}
    rendered = store(merged(everything, {"existingSecret": ""}))
    for each in rendered.objects:
        group = each["apiVersion"].rpartition("/")[0]
        for verb in ("get", "create", "update", "patch", "delete"):
            assert (group, PLURALS[each["kind"]], verb) in held, (each["kind"], verb)
    # Kubernetes lets nobody grant rights that they lack.
    assert granted(rendered.one("Role", "store")["rules"]) <= held
    for verb in ("get", "create"):
        assert ("", "pods/exec", verb) in held
    assert {("", "namespaces", verb) for verb in ("create", "delete", "watch")} <= held


def test_secrets_come_by_reference_and_only_where_they_belong():
    rendered = platform(EVERYTHING)
    assert rendered.all("Secret") == []
    seen = {}
    for name in SERVICES:
        main = common.container(rendered, "Deployment", name)
        variables = common.environment(main)
        for source in variables.values():
            assert source["secretKeyRef"]["name"] == f"storeplane-{name}"
        seen[name] = set(variables)
        for reference in main["envFrom"]:
            assert "secretRef" not in reference
    assert seen == {
        "gateway": {"DATABASE_URL", "DATABASE_WORKER_URL", "TOKEN_SIGNING_KEY"},
        "provisioner": {"DATABASE_URL", "DATABASE_WORKER_URL"},
        "config": {"DATABASE_URL", "DATABASE_WORKER_URL", "PLATFORM_ENCRYPTION_KEY"},
        "audit": {"DATABASE_URL", "DATABASE_WORKER_URL"},
    }
    for each in rendered.all("ConfigMap"):
        for key in each["data"]:
            assert not key.endswith(("_URL", "_SECRET", "_SIGNING_KEY", "_ENCRYPTION_KEY")), key


def test_each_service_mounts_its_own_certificate():
    rendered = platform()
    for name in SERVICES:
        volumes = rendered.one("Deployment", name)["spec"]["template"]["spec"]["volumes"]
        secrets = [each["secret"]["secretName"] for each in volumes if "secret" in each]
        assert secrets == [f"storeplane-{name}-tls"]
        data = rendered.one("ConfigMap", name)["data"]
        assert data["TLS_KEY_FILE"] == "/etc/storeplane/tls/tls.key"


def test_services_listen_and_call_as_configured():
    rendered = platform(
        {
            "ports": {"grpc": 9443},
            "externalServices": {"audit": "audit.example.com:443"},
            "services": {"audit": {"enabled": False}},
            "env": {"LOG_LEVEL": "debug"},
        }
    )
    data = {each["metadata"]["name"]: each["data"] for each in rendered.all("ConfigMap")}
    assert data["gateway"]["LISTEN_ADDRESS"] == "0.0.0.0:8080"
    assert data["gateway"]["ADMIN_ADDRESS"] == "0.0.0.0:9100"
    assert data["gateway"]["PROVISIONER_ADDRESS"] == "provisioner:9443"
    assert data["provisioner"]["AUDIT_ADDRESS"] == "audit.example.com:443"
    assert data["provisioner"]["LISTEN_ADDRESS"] == "0.0.0.0:9443"
    assert data["config"]["LOG_LEVEL"] == "debug"
    assert "audit" not in data


def told(rendered: Rendered, name: str) -> set[str]:
    """Names of all environment variables of a service."""
    main = common.container(rendered, "Deployment", name)
    return set(rendered.one("ConfigMap", name)["data"]) | set(common.environment(main))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_told_what_it_knows_and_all_that_it_needs(name):
    """The services' own lists are in their programs: a name that only one side has is a mistake."""
    rendered = platform(EVERYTHING)
    known = {setting: need for setting, need in settings(name)}
    assert told(rendered, name) <= set(known), "the service takes no such setting"
    assert {each for each in known if known[each] == "required"} <= told(rendered, name)
    (job,) = [each for each in rendered.all("Job") if each["metadata"]["name"] == f"{name}-migration"]
    (main,) = job["spec"]["template"]["spec"]["containers"]
    assert set(common.environment(main)) == {"DATABASE_OWNER_URL"} <= set(known)
    assert main["args"] == ["migrate"]


def settings(name: str) -> list[tuple[str, str]]:
    """A service's settings and whether each is required, as storeplane-setup lists them."""
    program = PLATFORM_CHART.parents[1] / ".build" / "debug" / "storeplane-setup"
    if not program.exists():
        pytest.fail(f"{program} is missing: swift build --product storeplane-setup")
    command = [program, "variables", "--service", name, "--needs"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [tuple(line.split(" ")) for line in lines]


def test_only_those_who_verify_callers_have_the_gateways_keys():
    rendered = platform()
    holders = set()
    for name in SERVICES:
        spec = rendered.one("Deployment", name)["spec"]["template"]["spec"]
        mounted = [each["configMap"]["name"] for each in spec["volumes"] if "configMap" in each]
        if "CALLER_KEYS_FILE" in rendered.one("ConfigMap", name)["data"]:
            assert mounted == ["storeplane-caller-keys"]
            holders.add(name)
        else:
            assert mounted == []
    assert holders == {"provisioner", "config", "audit"}


def test_probes_ask_the_admin_port_and_stopping_is_graceful():
    rendered = platform()
    for name in SERVICES:
        main = common.container(rendered, "Deployment", name)
        probes = {
            kind: (main[kind]["httpGet"]["path"], main[kind]["httpGet"]["port"])
            for kind in ("startupProbe", "readinessProbe", "livenessProbe")
        }
        assert probes == {
            "startupProbe": ("/healthz", "admin"),
            "readinessProbe": ("/readyz", "admin"),
            "livenessProbe": ("/healthz", "admin"),
        }
        assert {each["containerPort"] for each in main["ports"]} >= {9100}
        drain = int(main["lifecycle"]["preStop"]["exec"]["command"][1])
        spec = rendered.one("Deployment", name)["spec"]["template"]["spec"]
        assert 0 < drain < spec["terminationGracePeriodSeconds"]


def test_a_service_overrides_the_defaults_with_any_value():
    rendered = platform(
        {
            "services": {
                "audit": {
                    "replicas": 1,
                    "drainSeconds": 0,
                    "podDisruptionBudget": {"enabled": False},
                    "image": {"repository": "mirror/audit", "pullPolicy": "Always"},
                    "resources": {"limits": {"memory": "64Mi"}},
                }
            }
        }
    )
    main = common.container(rendered, "Deployment", "audit")
    assert main["image"] == "ghcr.io/mirror/audit:0.1.0"
    assert main["imagePullPolicy"] == "Always"
    assert main["resources"]["limits"] == {"cpu": "1", "memory": "64Mi"}
    assert "lifecycle" not in main
    assert rendered.one("Deployment", "audit")["spec"]["replicas"] == 1
    assert rendered.one("Deployment", "config")["spec"]["replicas"] == 2
    budgets = {each["metadata"]["name"] for each in rendered.all("PodDisruptionBudget")}
    assert budgets == set(SERVICES) - {"audit"}


def test_a_change_of_environment_restarts_the_service_it_concerns():
    def checksums(values):
        return {
            name: template["metadata"]["annotations"]["storeplane.dev/config-checksum"]
            for name, template in platform(values).pod_templates()
        }

    before = checksums({})
    after = checksums({"services": {"config": {"env": {"LOG_LEVEL": "debug"}}}})
    assert {name for name in before if before[name] != after[name]} == {"Deployment/config"}


def test_migrations_run_before_the_services_as_the_schema_owner():
    rendered = platform({"migrations": {"enabled": True}})
    jobs = rendered.all("Job")
    assert {each["metadata"]["name"] for each in jobs} == {f"{name}-migration" for name in SERVICES}
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        (variable,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
        name = job["metadata"]["name"].removesuffix("-migration")
        assert variable == {
            "name": "DATABASE_OWNER_URL",
            "valueFrom": {
                "secretKeyRef": {"name": f"storeplane-{name}", "key": "DATABASE_OWNER_URL"}
            },
        }
    # What a hook needs is a hook with a lower weight.
    policy = rendered.one("NetworkPolicy", "migration")["metadata"]["annotations"]
    assert policy["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(policy["helm.sh/hook-weight"]) < 0


def reachable(values) -> set[tuple[str, str, int]]:
    """Who opens what, for pods of the platform, on every port that matters."""
    rendered = platform(values)
    pods = {
        template["metadata"]["labels"]["app.kubernetes.io/name"]: template["metadata"]["labels"]
        for _, template in rendered.pod_templates()
    }
    store = {"app.kubernetes.io/part-of": "ecommerce-store", "app.kubernetes.io/name": "wordpress"}
    placed = [("storeplane", name, labels) for name, labels in pods.items()] + [
        ("storeplane", "postgresql", {"app.kubernetes.io/name": "postgresql"}),
        ("storeplane", "stranger", {}),
        ("default", "fake-gateway", pods["gateway"]),
        ("default", "fake-postgresql", {"app.kubernetes.io/name": "postgresql"}),
        ("store-a", "wordpress", store),
        ("traefik", "traefik", {}),
        ("kube-system", "dns", {"k8s-app": "kube-dns"}),
        ("monitoring", "prometheus", {}),
    ]
    endpoints = [
        Endpoint(name, f"10.42.0.{number}", namespace, labels)
        for number, (namespace, name, labels) in enumerate(placed, 1)
    ] + [Endpoint("kubernetes-api", "10.96.0.1"), Endpoint("internet", "93.184.216.34")]
    namespaces = {
        name: {"kubernetes.io/metadata.name": name}
        for name in ("storeplane", "default", "store-a", "traefik", "kube-system", "monitoring")
    }
    policies = PolicySet(
        [
            {**policy, "metadata": {**policy["metadata"], "namespace": "storeplane"}}
            for policy in rendered.all("NetworkPolicy")
        ],
        namespaces,
    )
    ports = (53, 80, 443, 5432, 6443, 8000, 8080, 8443, 9100)
    return {
        (source.name, destination.name, port)
        for source, destination in itertools.permutations(endpoints, 2)
        if {source.name, destination.name} & set(pods)
        for port in ports
        if policies.allows(source, destination, port)
    }


# The test's own narrowing of what an installation narrows to its API servers.
NARROW = {"networkPolicy": {"kubernetesApi": {"peers": [{"ipBlock": {"cidr": "10.96.0.1/32"}}]}}}


def test_services_reach_each_other_along_their_calls_and_no_further():
    calls = {
        "gateway": ("provisioner", "config", "audit"),
        "provisioner": ("config", "audit"),
        "config": ("audit",),
        "audit": (),
    }
    expected = {("traefik", "gateway", 8080)}
    expected |= {(name, callee, 8443) for name in calls for callee in calls[name]}
    expected |= {(name, "postgresql", 5432) for name in SERVICES}
    expected |= {(name, "dns", 53) for name in SERVICES}
    expected |= {("prometheus", name, 9100) for name in SERVICES}
    expected |= {("provisioner", "kubernetes-api", port) for port in (443, 6443)}
    expected |= {("provisioner", "traefik", port) for port in (80, 443, 8000, 8080, 8443)}
    assert reachable(NARROW) == expected


def test_a_migration_reaches_postgres_and_names_alone():
    got = reachable(merged(NARROW, {"migrations": {"enabled": True}}))
    assert {each for each in got if "migration" in each[:2]} == {
        ("migration", "postgresql", 5432),
        ("migration", "dns", 53),
    }


def test_only_the_provisioner_has_a_way_to_the_kubernetes_api():
    for values in ({}, NARROW, merged(EVERYTHING)):
        callers = {source for source, destination, _ in reachable(values)
                   if destination == "kubernetes-api"}  # fmt: skip
        assert callers == {"provisioner"}


def test_no_peers_mean_nobody():
    closed = {
        "networkPolicy": {
            "gatewayClients": [],
            "scrapers": [],
            "dnsServers": [],
            "database": {"peers": []},
            "kubernetesApi": {"peers": []},
            "storeIngress": {"peers": []},
        }
    }
    assert {port for *_, port in reachable(closed)} == {8443}


@pytest.mark.parametrize(
    "values, field",
    [
        ({"services": {"gateway": {"enabled": "yes"}}}, "enabled"),
        ({"services": {"billing": {"enabled": True}}}, "billing"),
        ({"services": {"gateway": {"calls": ["billing"]}}}, "calls"),
        ({"services": {"config": {"secretKeys": ["platform-key"]}}}, "secretKeys"),
        ({"services": {"config": {"env": {"lower": "x"}}}}, "env"),
        ({"ports": {"http": 80}}, "http"),
        ({"defaults": {"podSecurityContext": {"runAsUser": 0}}}, "runAsUser"),
        ({"defaults": {"replicas": 0}}, "replicas"),
        ({"externalServices": {"audit": "audit.example.com"}}, "audit"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"databaseUrl": "postgres://"}, "databaseUrl"),
        ({"networkPolicy": {"database": {"ports": []}}}, "ports"),
    ],
)
def test_the_schema_names_the_field(values, field):
    with pytest.raises(HelmValuesError, match="at '") as caught:
        platform(values)
    assert field in str(caught.value)


def test_an_ingress_needs_a_host():
    with pytest.raises(HelmError, match="ingress.host is required"):
        platform({"ingress": {"enabled": True}})


def test_the_package_fits_into_a_release(tmp_path):
    assert len(open(package(PLATFORM_CHART, destination=tmp_path), "rb").read()) < 64 * 1024


def test_both_charts_want_the_same_kubernetes():
    versions = {
        yaml.safe_load((chart / "Chart.yaml").read_text())["kubeVersion"]
        for chart in (PLATFORM_CHART, STORE_CHART)
    }
    assert versions == {">=1.20.0-0"}
