"""What NetworkPolicies let through, as a network plugin would judge it.

Source: networking.k8s.io/v1. A pod that no policy selects for a direction is open in it; one that is selected lets
through what any of its policies names.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod by what policies look at; ``ports`` are those that it names."""

    namespace: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)


Peer = Pod | str
"""The other end: a pod of the cluster, or an address."""


def isolated(policies: Iterable[Manifest], pod: Pod, direction: str) -> bool:
    """Whether anything is kept from a pod in a direction, Ingress or Egress."""
    return bool(_of(policies, pod, direction))


def sends(policies: Iterable[Manifest], pod: Pod, peer: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether a pod may send to a port of a peer."""
    return _lets_through(
        policies, pod, "Egress", peer, port, protocol, peer.ports if isinstance(peer, Pod) else {}
    )


def receives(policies: Iterable[Manifest], pod: Pod, peer: Peer, port: int) -> bool:
    """Whether a pod may get something from a peer on a port of its own."""
    return _lets_through(policies, pod, "Ingress", peer, port, "TCP", pod.ports)


def matches(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a selector selects something with these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    judged = {
        "Exists": lambda wanted: wanted["key"] in labels,
        "DoesNotExist": lambda wanted: wanted["key"] not in labels,
        "In": lambda wanted: labels.get(wanted["key"]) in wanted["values"],
        "NotIn": lambda wanted: labels.get(wanted["key"]) not in wanted["values"],
    }
    return all(judged[wanted["operator"]](wanted) for wanted in selector.get("matchExpressions", ()))


def _lets_through(policies, pod, direction, peer, port, protocol, names):
    chosen = _of(policies, pod, direction)
    if not chosen:
        return True
    side, rules = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    return any(
        _port_fits(rule.get("ports"), port, protocol, names)
        and (side not in rule or any(_is_peer(entry, pod.namespace, peer) for entry in rule[side]))
        for policy in chosen
        for rule in policy["spec"].get(rules) or ()
    )


def _of(policies, pod, direction):
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod.namespace
        and direction in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"], pod.labels)
    ]


def _port_fits(ports, port, protocol, names):
    return ports is None or any(
        entry.get("protocol", "TCP") == protocol and names.get(entry["port"], entry["port"]) == port
        for entry in ports
    )


def _is_peer(entry, own, peer):
    if "ipBlock" in entry:
        if isinstance(peer, Pod):
            # Pods' addresses are private ones; which, nobody knows beforehand.
            peer = "10.244.3.7"
        address, block = ipaddress.ip_address(peer), entry["ipBlock"]
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(left_out) for left_out in block.get("except", ())
        )
    if not isinstance(peer, Pod):
        return False
    if "namespaceSelector" in entry:
        fits = matches(entry["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        fits = peer.namespace == own
    return fits and matches(entry.get("podSelector", {}), peer.labels)
