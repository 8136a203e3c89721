"""Who reaches whom in and around a store: every (source, destination, port) is evaluated.

The clusters of the tests do not enforce NetworkPolicy, so the rendered policies are judged by the
rules of their API.
"""

from __future__ import annotations

import itertools

import pytest

from examples import EVERYTHING
from policies import Endpoint, PolicySet
from rendering import STORE_CHART, Rendered, merged, values_file

STORE = "store-a"
OTHER = "store-b"

PORTS = [
    (53, "TCP"), (53, "UDP"), (22, "TCP"), (25, "TCP"), (80, "TCP"), (443, "TCP"), (443, "UDP"),
    (465, "TCP"), (587, "TCP"), (3306, "TCP"), (3307, "TCP"), (5432, "TCP"), (6379, "TCP"),
    (6443, "TCP"), (8080, "TCP"), (8081, "TCP"), (8089, "TCP"), (8443, "TCP"), (9000, "TCP"),
    (9117, "TCP"), (10250, "TCP"),
]  # fmt: skip

NAMESPACE_NAMES = [
    STORE, OTHER, "storeplane", "ingress-nginx", "traefik", "kube-system", "monitoring", "default",
]  # fmt: skip

OUTSIDE = [
    Endpoint("internet", "93.184.216.34"),
    Endpoint("internet-6", "2606:2800:220:1::1"),
    Endpoint("office-network", "192.168.1.10"),
    Endpoint("node", "10.0.0.5"),
    Endpoint("carrier-network", "100.64.0.1"),
    Endpoint("metadata", "169.254.169.254"),
    Endpoint("metadata-6", "fd00:ec2::254"),
    Endpoint("kubernetes-service", "10.96.0.1"),
]


def pod_labels(rendered: Rendered) -> dict[str, dict[str, str]]:
    return {
        name.partition("/")[2]: template["metadata"]["labels"]
        for name, template in rendered.pod_templates()
    }


def world(rendered: Rendered) -> tuple[PolicySet, list[Endpoint]]:
    """Two stores made by the same chart, the platform, the cluster's own pods, and impostors."""
    labels = pod_labels(rendered)
    addresses = (f"10.42.0.{number}" for number in itertools.count(1))
    controller = {"app.kubernetes.io/name": "ingress-nginx"}
    traefik = {"app.kubernetes.io/name": "traefik"}
    pods = [
        (namespace, name, own) for namespace in (STORE, OTHER) for name, own in labels.items()
    ] + [
        (STORE, "stray", {}),
        (STORE, "solver", {"acme.cert-manager.io/http01-solver": "true"}),
        (STORE, "fake-controller", controller),
        (STORE, "fake-dns", {"k8s-app": "kube-dns"}),
        *(("default", f"fake-{name}", own) for name, own in labels.items()),
        ("default", "fake-controller", controller),
        ("default", "fake-dns", {"k8s-app": "kube-dns"}),
        ("storeplane", "provisioner", {"app.kubernetes.io/name": "provisioner"}),
        ("ingress-nginx", "controller", controller),
        ("ingress-nginx", "job", {"job-name": "admission-create"}),
        ("traefik", "traefik", traefik),
        ("kube-system", "traefik", traefik),
        ("kube-system", "dns", {"k8s-app": "kube-dns"}),
        ("kube-system", "metrics-server", {"k8s-app": "metrics-server"}),
        ("monitoring", "prometheus", {}),
    ]
    endpoints = [
        Endpoint(f"{namespace}/{name}", next(addresses), namespace, own)
        for namespace, name, own in pods
    ]
    policies = [
        {**policy, "metadata": {**policy["metadata"], "namespace": namespace}}
        for policy in rendered.all("NetworkPolicy")
        for namespace in (STORE, OTHER)
    ]
    namespaces = {name: {"kubernetes.io/metadata.name": name} for name in NAMESPACE_NAMES}
    return PolicySet(policies, namespaces), endpoints + OUTSIDE


def connections(rendered: Rendered) -> set[tuple[str, str, int, str]]:
    """All that may be opened from or to a pod of the first store."""
    policies, endpoints = world(rendered)
    return {
        (source.name, destination.name, port, protocol)
        for source, destination in itertools.permutations(endpoints, 2)
        if STORE in (source.namespace, destination.namespace)
        for port, protocol in PORTS
        if policies.allows(source, destination, port, protocol)
    }


WORDPRESS = "store-a/wordpress"
MARIADB = "store-a/mariadb"

TO_THE_WORLD = {
    (WORDPRESS, address, port, "TCP")
    for address in ("internet", "internet-6")
    for port in (80, 443, 465, 587)
}
NAMES = {(WORDPRESS, "kube-system/dns", 53, protocol) for protocol in ("TCP", "UDP")}
DATABASE = {(WORDPRESS, MARIADB, 3306, "TCP")}
DEFAULT = (
    {
        ("ingress-nginx/controller", WORDPRESS, 8080, "TCP"),
        ("traefik/traefik", WORDPRESS, 8080, "TCP"),
    }
    | DATABASE
    | NAMES
    | TO_THE_WORLD
)
CRON = {
    ("store-a/wp-cron", WORDPRESS, 8080, "TCP"),
    ("store-a/wp-cron", "kube-system/dns", 53, "TCP"),
    ("store-a/wp-cron", "kube-system/dns", 53, "UDP"),
}


def test_a_store_is_open_to_its_ingress_its_database_names_and_the_world(store):
    assert connections(store()) == DEFAULT


def test_wordpress_reaches_mariadb_and_nobody_else_does(store):
    for values in ({}, EVERYTHING, values_file(STORE_CHART / "values-vps.yaml")):
        got = connections(store(values))
        assert {each for each in got if each[1] == MARIADB} == DATABASE
        assert not {each for each in got if each[0] == MARIADB}


def test_stores_do_not_reach_each_other_or_the_platform(store):
    for values in ({}, EVERYTHING):
        for source, destination, *_ in connections(store(values)):
            assert not source.startswith((OTHER, "storeplane", "default"))
            assert not destination.startswith((OTHER, "storeplane", "default"))


def test_everything_switched_on(store):
    assert connections(store(EVERYTHING)) == DEFAULT | CRON | {
        ("ingress-nginx/controller", "store-a/solver", 8089, "TCP"),
        ("traefik/traefik", "store-a/solver", 8089, "TCP"),
        ("monitoring/prometheus", WORDPRESS, 9117, "TCP"),
    }


def test_vps_lets_in_the_traefik_of_k3s(store):
    got = connections(store(values_file(STORE_CHART / "values-vps.yaml")))
    assert got == DATABASE | NAMES | TO_THE_WORLD | CRON | {
        ("kube-system/traefik", WORDPRESS, 8080, "TCP"),
        ("kube-system/traefik", "store-a/solver", 8089, "TCP"),
    }


def test_no_peers_mean_nobody_never_everybody(store):
    closed = {
        "networkPolicy": {
            "ingressControllers": [],
            "dnsServers": [],
            "internet": {"enabled": False},
        },
        "metrics": {"scrapers": []},
    }
    assert connections(store(closed)) == DATABASE
    everything = connections(store(merged(EVERYTHING, closed)))
    assert everything == DATABASE | {("store-a/wp-cron", WORDPRESS, 8080, "TCP")}


def test_an_external_database_is_reached_at_its_address_alone(store):
    got = connections(
        store(
            {
                "mariadb": {"enabled": False},
                "externalDatabase": {
                    "host": "db.example.com",
                    "port": 3307,
                    "peers": [{"ipBlock": {"cidr": "10.0.0.5/32"}}],
                },
            }
        )
    )
    assert got == DEFAULT - DATABASE | {(WORDPRESS, "node", 3307, "TCP")}


def test_rules_can_be_added(store):
    got = connections(
        store(
            {
                "networkPolicy": {
                    "extraIngress": [
                        {"from": [{"ipBlock": {"cidr": "10.0.0.5/32"}}], "ports": [{"port": 8080}]}
                    ],
                    "extraEgress": [
                        {
                            "to": [{"ipBlock": {"cidr": "192.168.1.10/32"}}],
                            "ports": [{"port": 25}],
                        }
                    ],
                }
            }
        )
    )
    assert got - DEFAULT == {
        ("node", WORDPRESS, 8080, "TCP"),
        (WORDPRESS, "office-network", 25, "TCP"),
    }


@pytest.mark.parametrize("removed", ["default-deny", "wordpress", "mariadb"])
def test_every_policy_matters(store, removed):
    """Without one of them the result changes, so the tests above would notice."""
    rendered = store()
    rendered.objects[:] = [
        each
        for each in rendered.objects
        if (each["kind"], each["metadata"]["name"]) != ("NetworkPolicy", removed)
    ]
    assert connections(rendered) != DEFAULT


def test_policies_can_be_left_out(store):
    assert store({"networkPolicy": {"enabled": False}}).all("NetworkPolicy") == []
