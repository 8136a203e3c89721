"""Evaluates NetworkPolicies as the Kubernetes API defines them (networking.k8s.io/v1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Labels = dict[str, str]


@dataclass(frozen=True)
class Endpoint:
    """A pod, or with no namespace an address outside the cluster."""

    name: str
    address: str
    namespace: str | None = None
    labels: Labels = field(default_factory=dict, hash=False)
    named_ports: dict[str, int] = field(default_factory=dict, hash=False)


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    """A label selector; an empty one selects everything."""
    unknown = set(selector) - {"matchLabels", "matchExpressions"}
    assert not unknown, f"selector fields {unknown}"
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions", []):
        value = labels.get(each["key"])
        matched = {
            "In": value in each.get("values", []),
            "NotIn": value not in each.get("values", []),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[each["operator"]]
        if not matched:
            return False
    return True


class PolicySet:
    def __init__(self, policies: list[dict[str, Any]], namespaces: dict[str, Labels]):
        """`policies` carry metadata.namespace; `namespaces` are labels by name."""
        self.policies = policies
        self.namespaces = namespaces

    def allows(
        self, source: Endpoint, destination: Endpoint, port: int, protocol: str = "TCP"
    ) -> bool:
        """Whether a connection is let out at its source and in at its destination."""
        return self._passes(
            "Egress", source, destination, destination, port, protocol
        ) and self._passes("Ingress", destination, source, destination, port, protocol)

    def _passes(
        self,
        direction: str,
        subject: Endpoint,
        other: Endpoint,
        destination: Endpoint,
        port: int,
        protocol: str,
    ) -> bool:
        if subject.namespace is None:
            return True
        applying = [
            policy
            for policy in self.policies
            if policy["metadata"]["namespace"] == subject.namespace
            and direction in policy_types(policy["spec"])
            and selects(policy["spec"].get("podSelector", {}), subject.labels)
        ]
        if not applying:
            return True
        peers_field = "to" if direction == "Egress" else "from"
        return any(
            self._matches_peers(rule.get(peers_field), policy, other)
            and matches_port(rule.get("ports"), destination, port, protocol)
            for policy in applying
            for rule in policy["spec"].get(direction.lower()) or []
        )

    def _matches_peers(
        self, peers: list[dict[str, Any]] | None, policy: dict[str, Any], other: Endpoint
    ) -> bool:
        """No peers mean everybody."""
        return not peers or any(self._matches_peer(peer, policy, other) for peer in peers)

    def _matches_peer(self, peer: dict[str, Any], policy: dict[str, Any], other: Endpoint) -> bool:
        if "ipBlock" in peer:
            return in_block(peer["ipBlock"], other.address)
        if other.namespace is None:
            return False
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self.namespaces[other.namespace]):
                return False
        elif other.namespace != policy["metadata"]["namespace"]:
            return False
        return selects(peer.get("podSelector", {}), other.labels)


def policy_types(spec: dict[str, Any]) -> list[str]:
    """Left out, they are Ingress, and Egress where there are egress rules."""
    return spec.get("policyTypes") or ["Ingress"] + (["Egress"] if "egress" in spec else [])


def in_block(block: dict[str, Any], address: str) -> bool:
    def contains(network: str) -> bool:
        parsed = ip_network(network)
        return parsed.version == ip_address(address).version and ip_address(address) in parsed

    return contains(block["cidr"]) and not any(contains(each) for each in block.get("except", []))


def matches_port(
    ports: list[dict[str, Any]] | None, destination: Endpoint, port: int, protocol: str
) -> bool:
    """No ports mean every port."""
    if not ports:
        return True
    for each in ports:
        first = each.get("port")
        if isinstance(first, str):
            first = destination.named_ports.get(first)
            if first is None:
                continue
        last = each.get("endPort", first)
        if each.get("protocol", "TCP") == protocol and (first is None or first <= port <= last):
            return True
    return False
