"""The evaluator itself, on the cases of the NetworkPolicy API's documentation."""

from __future__ import annotations

import pytest

from policies import Endpoint, PolicySet, in_block, selects

NAMESPACES = {"a": {"team": "a"}, "b": {"team": "b"}}
WEB = Endpoint("web", "10.1.0.1", "a", {"app": "web"}, {"http": 8080})
DATABASE = Endpoint("database", "10.1.0.2", "a", {"app": "database"})
STRANGER = Endpoint("stranger", "10.1.1.1", "b", {"app": "web"})
WORLD = Endpoint("world", "198.51.100.1")


def allowed(spec, source, destination, port=5432, protocol="TCP"):
    policy = {"metadata": {"namespace": "a"}, "spec": spec}
    return PolicySet([policy], NAMESPACES).allows(source, destination, port, protocol)


def test_without_a_policy_everything_passes():
    assert PolicySet([], NAMESPACES).allows(WORLD, DATABASE, 1)


def test_a_policy_that_selects_a_pod_denies_what_it_does_not_name():
    spec = {"podSelector": {"matchLabels": {"app": "database"}}}
    assert not allowed(spec, WEB, DATABASE)
    assert allowed(spec, DATABASE, WEB), "left out, policyTypes are Ingress alone"
    assert allowed(spec, STRANGER, WEB), "a pod not selected is open"


def test_policies_add_up():
    deny = {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}}}
    allow = {"metadata": {"namespace": "a"}, "spec": {"podSelector": {}, "ingress": [{}]}}
    assert not PolicySet([deny], NAMESPACES).allows(WEB, DATABASE, 1)
    assert PolicySet([deny, allow], NAMESPACES).allows(WEB, DATABASE, 1)


@pytest.mark.parametrize(
    "peer, web, stranger, world",
    [
        ({"podSelector": {"matchLabels": {"app": "web"}}}, True, False, False),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False, True, False),
        ({"namespaceSelector": {}}, True, True, False),
        (
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "x"}}},
            False,
            False,
            False,
        ),
        ({"ipBlock": {"cidr": "198.51.100.0/24"}}, False, False, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.1.0.0/24"]}}, False, True, True),
    ],
)
def test_peers(peer, web, stranger, world):
    spec = {"podSelector": {}, "ingress": [{"from": [peer]}]}
    got = tuple(allowed(spec, source, DATABASE) for source in (WEB, STRANGER, WORLD))
    assert got == (web, stranger, world)


def test_both_ends_must_agree():
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]}
    assert not allowed(spec, WEB, DATABASE)
    assert allowed(spec, DATABASE, WEB)


def test_ports_and_protocols():
    def spec(*ports):
        return {"podSelector": {}, "ingress": [{"ports": list(ports)}]}

    assert allowed(spec({"port": 53, "protocol": "UDP"}), DATABASE, WEB, 53, "UDP")
    assert not allowed(spec({"port": 53, "protocol": "UDP"}), DATABASE, WEB, 53)
    assert allowed(spec({"port": 8000, "endPort": 8080}), DATABASE, WEB, 8080)
    assert not allowed(spec({"port": 8000, "endPort": 8079}), DATABASE, WEB, 8080)
    assert allowed(spec({"port": "http"}), DATABASE, WEB, 8080)
    assert not allowed(spec({"port": "http"}), WEB, DATABASE, 8080)
    assert allowed(spec({"protocol": "UDP"}), DATABASE, WEB, 9, "UDP")


def test_expressions():
    def matches(operator, labels, values=()):
        expression = {"key": "k", "operator": operator, "values": list(values)}
        return selects({"matchExpressions": [expression]}, labels)

    assert matches("In", {"k": "1"}, ["1", "2"]) and not matches("In", {}, ["1"])
    assert matches("NotIn", {}, ["1"]) and not matches("NotIn", {"k": "1"}, ["1"])
    assert matches("Exists", {"k": "1"}) and not matches("Exists", {})
    assert matches("DoesNotExist", {}) and not matches("DoesNotExist", {"k": "1"})
    with pytest.raises(AssertionError):
        selects({"matchLabel": {}}, {})


def test_blocks_keep_their_ip_version():
    assert in_block({"cidr": "::/0", "except": ["fd00::/8"]}, "2001:db8::1")
    assert not in_block({"cidr": "::/0", "except": ["fd00::/8"]}, "fd00::1")
    assert not in_block({"cidr": "0.0.0.0/0"}, "2001:db8::1")
